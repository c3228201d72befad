import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/**
 * A client that takes the sheet (`contracts/environments.md`) at its word, as the vendor's own generated one does when
 * it validates: every required field must be there and of its type, every state one that is known; what is beyond the
 * contract is let through. It never asks a second time, polls as the vendor's does, gives a start up only when the
 * session is `error` or `closed`, waits for an exit code however long it takes, and raises what the platform failed at.
 */
const moment = z.iso.datetime({ offset: true });
const word = z.string().nullish();
const id = z.string().min(1);

const ErrorInfo = z.looseObject({ code: z.string(), message: z.string() });
const ContainerInfo = z.looseObject({
  container_name: z.string(),
  created_at: moment,
  expires_at: moment,
  location: z.string(),
  sample_id: z.string(),
  service_url: z.string(),
  status: z.string(),
});
const SessionStatus = z.enum(['creating', 'ready', 'busy', 'error', 'closed', 'terminated']);
const JobStatus = z.enum(['pending', 'starting', 'running', 'applying_diff', 'completed', 'error', 'cancelled']);
const InteractionStatus = z.enum(['pending', 'completed', 'error']);
const Session = z.looseObject({
  session_id: id,
  user_id: id,
  dataset: z.string(),
  sample_id: z.string(),
  status: SessionStatus,
  requested_at: moment,
  created_at: moment.nullish(),
  expires_at: moment,
  duration_seconds: z.number().nullish(),
  container_info: ContainerInfo.nullish(),
  error: ErrorInfo.nullish(),
});
const Sample = z.looseObject({
  sample_id: id,
  instance_id: id,
  dataset: word,
  language: z.string(),
  repo: z.string(),
  base_commit: z.string(),
  environment_setup_commit: z.string(),
  problem_statement: z.string(),
  hints_text: z.string(),
  patch: z.string(),
  non_code_patch: z.string(),
  test_patch: z.string(),
  fail_to_pass: z.array(z.string()),
  pass_to_pass: z.array(z.string()),
  fail_to_fail: z.array(z.string()),
  verifier: z.enum(['test_suite', 'static_analysis', 'linter', 'custom']),
  version: z.int().nullish(),
  latest: z.boolean().nullish(),
  description: word,
  version_description: word,
  created_at: moment.nullish(),
});
const Result = z.looseObject({
  tool: z.literal('test_suite').nullish(),
  is_success: z.boolean(),
  total: z.int(),
  passed: z.int(),
  failed: z.int(),
  skipped: z.int(),
  execution_duration_seconds: z.number(),
  failures: z.array(z.unknown()).nullish(),
  passes: z.array(z.unknown()).nullish(),
  skips: z.array(z.unknown()).nullish(),
  stdout: word,
  stderr: word,
});
const Access = z.looseObject({ access_token: id, token_type: z.string().default('Bearer'), expires_in: z.int() });

/** What each route of the sheet answers. */
const REPLIES = {
  'GET /health': z.looseObject({ status: id, service: id, version: id, timestamp: moment }),
  'POST /auth/github': Access.extend({ user_id: id, refresh_token: id, is_new_user: z.boolean() }),
  'POST /auth/refresh': Access,
  'GET /users/me': z.looseObject({
    user_id: id,
    name: z.string(),
    email: z.string(),
    github_id: word,
    created_at: moment,
    last_login_at: moment.nullish(),
    is_active: z.boolean().default(true),
  }),
  'POST /users/me/api-keys': z.looseObject({
    key_id: id,
    key: id,
    name: z.string(),
    created_at: moment,
    expires_at: moment.nullish(),
    is_active: z.boolean(),
  }),
  'DELETE /users/me/api-keys': z.looseObject({ message: z.string(), revoked_key_id: id }),
  'GET /datasets': z.array(
    z.looseObject({ name: id, description: word, sample_count: z.int(), created_at: moment.nullish() }),
  ),
  'GET /samples': z.looseObject({
    samples: z.array(Sample),
    total_count: z.int(),
    page: z.int().min(1),
    page_size: z.int(),
    has_more: z.boolean(),
  }),
  'GET /samples/{dataset}/{sample_id}/download': z.instanceof(Uint8Array),
  'POST /sessions': z.looseObject({ session_id: id, status: SessionStatus, expires_at: moment }),
  'GET /sessions': z.looseObject({ sessions: z.array(Session), total_count: z.int(), has_more: z.boolean() }),
  'GET /sessions/{session_id}': Session,
  'DELETE /sessions/{session_id}': z.looseObject({ message: z.string(), duration_seconds: z.number() }),
  'POST /sessions/{session_id}/exec': z.looseObject({ interaction_id: id, status: InteractionStatus }),
  'GET /sessions/{session_id}/interactions/{interaction_id}': z.looseObject({
    interaction_id: id,
    session_id: id,
    created_at: moment,
    exit_code: z.int().nullish(),
    stdout: word,
    stderr: word,
    execution_time_seconds: z.number().nullish(),
    success: z.boolean().nullish(),
    message: word,
    status: InteractionStatus.nullish(),
  }),
  'POST /sessions/{session_id}/str_replace': z.looseObject({ success: z.boolean(), message: z.string() }),
  'POST /sessions/{session_id}/verify': z.looseObject({ job_id: id, started_at: moment, status: JobStatus }),
  'GET /sessions/{session_id}/verify/{job_id}': z.looseObject({
    job_id: id,
    session_id: id,
    sample_id: z.string(),
    status: JobStatus,
    created_at: moment,
    started_at: moment.nullish(),
    completed_at: moment.nullish(),
    result: Result.nullish(),
    error: ErrorInfo.nullish(),
    container_info: ContainerInfo.nullish(),
  }),
  'GET /billing/balance': z.looseObject({
    user_id: id,
    balance: z.int().default(0),
    total_deposited: z.int().default(0),
    total_spent: z.int().default(0),
    stripe_customer_id: word,
    last_updated: moment,
  }),
  'GET /billing/pricing': z.looseObject({}),
  'POST /billing/deposit': z.looseObject({ checkout_url: z.url(), amount_cents: z.int(), currency: z.string() }),
  'POST /billing/webhook': z.looseObject({}),
  'GET /billing/usage': z.looseObject({
    current_balance_cents: z.int(),
    total_deposits_cents: z.int(),
    total_usage_cents: z.int(),
  }),
} satisfies Record<string, z.ZodType>;

export type RouteName = keyof typeof REPLIES;
export const ROUTES = Object.keys(REPLIES) as RouteName[];
type ReplyOf<Name extends RouteName> = z.output<(typeof REPLIES)[Name]>;

/** A sentence, or with 422 what FastAPI says of wrong input. */
const Refusal = z.union([
  z.object({ detail: z.string().min(1) }),
  z.object({
    detail: z
      .array(z.object({ loc: z.array(z.union([z.string(), z.int()])).min(1), msg: z.string(), type: z.string() }))
      .min(1),
  }),
]);

export class StatusError extends Error {
  readonly status: number;
  readonly detail: z.output<typeof Refusal>['detail'];
  constructor(status: number, detail: z.output<typeof Refusal>['detail']) {
    super(`${status}: ${JSON.stringify(detail)}`);
    [this.status, this.detail] = [status, detail];
  }
}
export class PlatformFailure extends Error {}
export class StartFailed extends Error {}

const PLATFORM_FAILED = -1_000;
const POLL_MS = 3_000;

type Values = Record<string, string | number | null>;
type Given = { path?: Record<string, string>; query?: Values; body?: object };
/** The same sample, session and command by their names. */
export type StrictClient = ReturnType<typeof strictClient>;

export function strictClient(baseUrl: string, key: string | undefined, { pollMs = POLL_MS } = {}) {
  const asked = new Set<RouteName>();

  async function call<Name extends RouteName>(name: Name, { path, query, body }: Given = {}): Promise<ReplyOf<Name>> {
    asked.add(name);
    const [method = '', template = ''] = name.split(' ');
    const url = new URL(
      baseUrl + template.replaceAll(/\{(\w+)\}/g, (_all, part: string) => encodeURIComponent(path?.[part] ?? '')),
    );
    for (const [field, value] of Object.entries(query ?? {})) url.searchParams.set(field, String(value));
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        'user-agent': 'Codeset/Python 0.9.1',
        'x-stainless-lang': 'python',
        'x-stainless-retry-count': '0',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const isJson = response.headers.get('content-type')?.split(';')[0] === 'application/json';
    if (!response.ok)
      throw new StatusError(response.status, Refusal.parse(isJson ? await response.json() : undefined).detail);
    const reply: unknown = isJson ? await response.json() : new Uint8Array(await response.arrayBuffer());
    const read = REPLIES[name].safeParse(reply);
    if (!read.success) throw new Error(`${name}: ${z.prettifyError(read.error)}\n${JSON.stringify(reply)}`);
    return read.data as ReplyOf<Name>;
  }

  return {
    asked,
    call,
    /** Until it is ready; whatever is neither that nor given up is asked for again. */
    async create(dataset: string, sampleId: string, ttlMinutes = 30): Promise<z.output<typeof Session>> {
      const body = { dataset, sample_id: sampleId, ttl_minutes: ttlMinutes };
      const { session_id } = await call('POST /sessions', { body });
      for (;;) {
        const session = await call('GET /sessions/{session_id}', { path: { session_id } });
        if (session.status === 'ready') return session;
        if (session.status === 'error' || session.status === 'closed')
          throw new StartFailed(`${session.status}: ${session.error?.message}`);
        await sleep(pollMs);
      }
    },
    async exec(session_id: string, command: string, timeout?: number) {
      const body = { command, ...(timeout !== undefined && { command_timeout: timeout }) };
      const { interaction_id } = await call('POST /sessions/{session_id}/exec', { path: { session_id }, body });
      for (;;) {
        const path = { session_id, interaction_id };
        const seen = await call('GET /sessions/{session_id}/interactions/{interaction_id}', { path });
        if (seen.exit_code === PLATFORM_FAILED) throw new PlatformFailure(seen.message ?? '');
        if (typeof seen.exit_code === 'number') return seen;
        await sleep(pollMs);
      }
    },
    async verify(session_id: string) {
      const { job_id } = await call('POST /sessions/{session_id}/verify', { path: { session_id } });
      for (;;) {
        const job = await call('GET /sessions/{session_id}/verify/{job_id}', { path: { session_id, job_id } });
        if (['completed', 'error', 'cancelled'].includes(job.status)) return job;
        await sleep(pollMs);
      }
    },
  };
}
