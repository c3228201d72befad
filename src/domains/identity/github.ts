import { z } from 'zod';
import type { OutgoingFetch, OutgoingRequest } from '../../platform/fetch.ts';
import { MAX_NAME_LENGTH } from './account.ts';
import { MAX_EMAIL_LENGTH, normaliseEmail } from './password.ts';

/** The OAuth app that people log in with, and how its server is reached. */
export type GithubApp = {
  clientId: string;
  clientSecret: string;
  /** Where people and codes go. */
  url: string;
  apiUrl: string;
  send: OutgoingFetch['send'];
};

/** Who somebody is at GitHub. */
export type GithubUser = { id: string; name: string; email: string };

/** Why a code brought nobody: it does not hold, its owner may not log in yet, our app is set up wrongly, GitHub is away. */
export type NoUser = { ok: false; reason: 'code' | 'unverified' | 'setup' | 'away'; says: string };
export type Asked = { ok: true; user: GithubUser } | NoUser;

/** Bytes of a reply that are enough for a user with all fields and a hundred addresses. */
export const MAX_GITHUB_REPLY_BYTES = 64_000;
const SCOPES = 'read:user user:email';
/** GitHub refuses requests that do not say who asks. */
const HEADERS = { 'user-agent': 'freehold', accept: 'application/json' };
const API_HEADERS = { ...HEADERS, accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' };

// GitHub answers 200 for refused codes too; which of the two it is shows only in the body.
const Exchanged = z.union([
  z.object({ access_token: z.string().min(1), token_type: z.string() }),
  z.object({ error: z.string(), error_description: z.string().optional() }),
]);
const User = z.object({
  id: z.int().positive(),
  login: z.string().min(1),
  name: z.string().nullish(),
  email: z.string().nullish(),
});
const Emails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }));

/** Where a person tells GitHub that we may know who they are. */
export function authorizationUrl({ url, clientId }: GithubApp, state: string): string {
  const query = new URLSearchParams({ client_id: clientId, scope: SCOPES, state });
  return `${url}/login/oauth/authorize?${query.toString()}`;
}

/**
 * Exchanges a code for the person it stands for. GitHub takes each code once, so a caller who goes away does not end
 * this: the login that a repetition of the request finds is then there.
 */
export async function askGithub(app: GithubApp, code: string): Promise<Asked> {
  const exchanged = await readReply(app, tokenRequest(app, code), Exchanged);
  // What GitHub answers for a client id that it does not know.
  if (!exchanged.ok && exchanged.status === 404) return { ok: false, reason: 'setup', says: exchanged.says };
  if (!exchanged.ok) return away(exchanged.says);
  if ('error' in exchanged.value) return refused(exchanged.value);
  const token = exchanged.value.access_token;
  const user = await readReply(app, apiRequest(app, '/user', token), User);
  if (!user.ok) return away(user.says);
  // A person may have let us see their profile and not their addresses.
  const emails = await readReply(app, apiRequest(app, '/user/emails', token), Emails);
  if (!emails.ok && emails.status === undefined) return away(emails.says);
  return { ok: true, user: userOf(user.value, emails.ok ? emails.value : []) };
}

const tokenRequest = ({ url, clientId, clientSecret }: GithubApp, code: string): OutgoingRequest => ({
  url: `${url}/login/oauth/access_token`,
  method: 'POST',
  headers: { ...HEADERS, 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, code }).toString(),
});

const apiRequest = ({ apiUrl }: GithubApp, path: string, token: string): OutgoingRequest => ({
  url: apiUrl + path,
  method: 'GET',
  headers: { ...API_HEADERS, authorization: `Bearer ${token}` },
});

type Read<Value> = { ok: true; value: Value } | { ok: false; says: string; status?: number };

/** A reply in the shape it should have. `status` where GitHub itself has refused: 4xx. */
async function readReply<Value>(
  { send }: GithubApp,
  request: OutgoingRequest,
  schema: z.ZodType<Value>,
): Promise<Read<Value>> {
  const outcome = await send(request);
  if (!outcome.ok) return { ok: false, says: `${request.url}: ${outcome.reason}` };
  const { status, body } = outcome;
  const says = `${request.url} answered ${status}`;
  if (status === 403 || status === 404) return { ok: false, says, status };
  const parsed = status === 200 ? schema.safeParse(jsonOf(body)) : undefined;
  return parsed?.success ? { ok: true, value: parsed.data } : { ok: false, says };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no JSON fits no schema
  }
}

const away = (says: string): NoUser => ({ ok: false, reason: 'away', says });

/** GitHub's own names for what it refuses; what is not about the code is about our app. */
const REASONS: Record<string, NoUser['reason']> = {
  bad_verification_code: 'code',
  unverified_user_email: 'unverified',
};

const refused = ({ error, error_description }: { error: string; error_description?: string | undefined }): NoUser => ({
  ok: false,
  reason: REASONS[error] ?? 'setup',
  says: `${error}: ${error_description ?? ''}`,
});

function userOf(user: z.output<typeof User>, emails: z.output<typeof Emails>): GithubUser {
  const vouchedFor = emails.find(({ primary, verified }) => primary && verified)?.email ?? user.email;
  const email = vouchedFor && isShort(vouchedFor) ? vouchedFor : `${user.id}+${user.login}@users.noreply.github.com`;
  return {
    id: String(user.id),
    name: displayName(user.name) ?? displayName(user.login) ?? 'GitHub user',
    email: normaliseEmail(email),
  };
}

const isShort = (email: string): boolean => email.length <= MAX_EMAIL_LENGTH && !email.includes('\0');

/** A name as we show names; undefined where nothing of it is left. */
function displayName(text: string | null | undefined): string | undefined {
  const plain = (text ?? '')
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, '')
    .trim();
  return Array.from(plain).slice(0, MAX_NAME_LENGTH).join('') || undefined;
}
