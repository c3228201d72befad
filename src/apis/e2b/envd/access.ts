import { createHash, timingSafeEqual } from 'node:crypto';
import type { Machines } from '../../../domains/machines/index.ts';
import type { Sandbox, Sandboxes } from '../../../domains/sandboxes/index.ts';
import { AppError } from '../../../kernel/errors.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Shares } from '../../../kernel/shares.ts';
import { MINUTE, SECOND } from '../../../kernel/time.ts';
import type { CountRequest, RawRequest } from '../../contract.ts';
import { isGone, RpcFailure, SandboxGone } from './failure.ts';

export type EnvdDomains = {
  machines: Pick<
    Machines,
    | 'attach'
    | 'closeRunInput'
    | 'home'
    | 'inputRun'
    | 'listTree'
    | 'makeDirectory'
    | 'move'
    | 'readStream'
    | 'remove'
    | 'resizeRun'
    | 'run'
    | 'runs'
    | 'samples'
    | 'signalRun'
    | 'stat'
    | 'usage'
    | 'watch'
    | 'writeStream'
  >;
  sandboxes: Pick<Sandboxes, 'accessToken' | 'awake' | 'byAccessToken' | 'byCode'>;
};

/** What this process keeps of its visitors, by their sandbox's code: open streams, and bytes of messages. */
export type EnvdWorld = EnvdDomains & { openStreams: Shares<string>; messages: Shares<string> };

/** The same, and whose sandbox is being looked for, by the address that wants to know. */
export type FilesWorld = EnvdWorld & { searches: Shares<string> };

/** One request to the daemon of one sandbox, whose caller has shown that it may. */
export type Visit = EnvdWorld & {
  /** Acts for the platform: the sandbox's own token has let the caller in, and it reaches this one machine. */
  op: Op;
  sandbox: Sandbox;
  request: RawRequest;
  /** Of its own messages. */
  held: { bytes: number };
};

/** Bytes of messages that this process has in memory at a time: for one sandbox, and for all. */
export const MAX_HELD = { each: 33_554_432, all: 134_217_728 };

/** Requests into one sandbox; five hundred a second are more than a client needs that works as fast as it can. */
export const SANDBOX_LIMIT = { name: 'envd', max: 30_000, windowMs: MINUTE };
/** Requests of one address that name their sandbox by a signature alone. */
export const NAMELESS_LIMIT = { name: 'envd-signed', max: 600, windowMs: MINUTE };

/** Sandboxes that are being looked for by a signature alone, one after the other: for one address, and for all. */
export const MAX_SEARCHES = { each: 8, all: 64 };
const SEARCHED_SECONDS = 1;
const SIGNATURE = /^v1_[A-Za-z0-9+/]{43}$/;

/** Port that clients write for the daemon itself. */
export const ENVD_PORT = '49983';
const SANDBOX_ID = 'e2b-sandbox-id';
const SANDBOX_PORT = 'e2b-sandbox-port';
export const ACCESS_TOKEN = 'x-access-token';
export const DEFAULT_USER = 'user';

export const headerOf = ({ headers }: RawRequest, name: string): string | undefined => {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
};

/** The sandbox that a request names, in whatever state. Throws `SandboxGone` where there is none. */
export async function named(
  domains: EnvdDomains,
  request: RawRequest,
  port: number | string = ENVD_PORT,
): Promise<Sandbox> {
  const code = headerOf(request, SANDBOX_ID);
  if (!code) throw new AppError('invalid', 'The E2b-Sandbox-Id header is missing');
  if ((headerOf(request, SANDBOX_PORT) ?? ENVD_PORT) !== String(port))
    throw new AppError('invalid', `Only port ${port} is reached here; other ports have host names of their own`);
  const sandbox = await domains.sandboxes.byCode(code);
  if (!sandbox || sandbox.state === 'destroyed') throw new SandboxGone(code);
  return sandbox;
}

/** Lets in whoever has the sandbox's token. */
export async function visit(world: EnvdWorld, op: Op, request: RawRequest, count: CountRequest): Promise<Visit> {
  const sandbox = await named(world, request);
  const token = headerOf(request, ACCESS_TOKEN);
  if (token === undefined || !isSame(token, world.sandboxes.accessToken(sandbox)))
    throw new AppError('unauthenticated', 'Invalid access token');
  await count(SANDBOX_LIMIT, sandbox.code);
  return enter(world, op, request, sandbox);
}

/** As `visit` for files, which a signature in the URL opens as well; it may even name the sandbox by itself. */
export async function visitFiles(
  world: FilesWorld,
  op: Op,
  request: RawRequest,
  { operation, count }: { operation: 'read' | 'write'; count: CountRequest },
): Promise<Visit> {
  if (headerOf(request, ACCESS_TOKEN) !== undefined) return visit(world, op, request, count);
  const signature = request.query.get('signature');
  if (signature === null) throw new AppError('unauthenticated', 'missing signature query parameter');
  // To find out whose it is, every sandbox is looked at.
  if (headerOf(request, SANDBOX_ID) === undefined) await count(NAMELESS_LIMIT);
  const fits = (token: string): boolean => isSame(signature, signatureOf(request.query, operation, token));
  const sandbox = SIGNATURE.test(signature) ? await signedFor(world, op, request, fits) : undefined;
  if (!sandbox) throw new AppError('unauthenticated', 'invalid signature');
  const expiration = request.query.get('signature_expiration');
  if (expiration && Number(expiration) * SECOND < op.now.getTime())
    throw new AppError('unauthenticated', 'signature is already expired');
  await count(SANDBOX_LIMIT, sandbox.code);
  return enter(world, op, request, sandbox);
}

async function signedFor(
  world: FilesWorld,
  op: Op,
  request: RawRequest,
  fits: (token: string) => boolean,
): Promise<Sandbox | undefined> {
  if (headerOf(request, SANDBOX_ID) === undefined) return search(world, op, fits);
  const sandbox = await named(world, request);
  return fits(world.sandboxes.accessToken(sandbox)) ? sandbox : undefined;
}

async function search(
  { sandboxes, searches }: FilesWorld,
  { address = '' }: Op,
  fits: (token: string) => boolean,
): Promise<Sandbox | undefined> {
  if (!searches.take(address))
    throw new AppError('rate_limited', 'Too many signatures are being looked at: try again in a moment', {
      retryAfterSeconds: SEARCHED_SECONDS,
    });
  try {
    return await sandboxes.byAccessToken(fits);
  } finally {
    searches.give(address);
  }
}

/** `v1_` and the SHA-256 of what the URL opens with which token; an absent expiration is left out with its colon. */
export function signatureOf(query: URLSearchParams, operation: 'read' | 'write', token: string): string {
  const expiration = query.get('signature_expiration');
  const parts = [query.get('path') ?? '', operation, query.get('username') ?? '', token];
  const text = [...parts, ...(expiration ? [expiration] : [])].join(':');
  return `v1_${createHash('sha256').update(text).digest('base64').replace(/=+$/, '')}`;
}

/** Wakes the sandbox where traffic may. */
export async function enter(world: EnvdWorld, op: Op, request: RawRequest, sandbox: Sandbox): Promise<Visit> {
  const awake = await world.sandboxes.awake(sandbox);
  if (awake.state !== 'running') throw new SandboxGone(sandbox.code);
  return {
    ...world,
    op: { ...op, actor: { kind: 'system', name: 'envd' } },
    sandbox: awake,
    request,
    held: { bytes: 0 },
  };
}

/** Throws where its sandbox is sent too much at once. */
export function hold({ messages, sandbox, held }: Visit, bytes: number): void {
  if (!messages.take(sandbox.code, bytes))
    throw new RpcFailure('resource_exhausted', 'Too much is being sent to this sandbox at once');
  held.bytes += bytes;
}

/** A visit from its beginning to its end, after which nothing of its messages is held any more. */
export async function visiting<V extends Visit, Result>(
  guest: V,
  work: (guest: V) => Promise<Result>,
): Promise<Result> {
  try {
    return await work(guest);
  } finally {
    guest.messages.give(guest.sandbox.code, guest.held.bytes);
  }
}

/** Does what was asked of a sandbox, and words its being gone. */
export async function within<Result>({ sandbox }: Visit, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw isGone(error) ? new SandboxGone(sandbox.code, { cause: error }) : error;
  }
}

/** Compares without telling by its duration where they differ. */
export const isSame = (left: string, right: string): boolean => timingSafeEqual(digest(left), digest(right));
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
