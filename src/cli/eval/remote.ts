import { setTimeout as sleep } from 'node:timers/promises';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import type { Api } from '../api.ts';
import { patiently } from '../patience.ts';

/** A session as the API shows it. */
export type RemoteSession = {
  session_id: string;
  status: 'creating' | 'ready' | 'error' | 'closed' | 'terminated';
  duration_seconds: number | null;
  error: { code: string; message: string } | null;
  cost_microcents: number;
};
export type RemoteCommand = {
  exit_code: number | null;
  stdout: string;
  stderr: string;
  message: string | null;
};
export type RemoteJob = {
  status: string;
  result: { is_success: boolean; total: number; passed: number; failed: number; skipped: number } | null;
  error: { message: string } | null;
};
export type RemoteSample = {
  sample_id: string;
  version: number;
  language: string;
  problem_statement: string;
  runnable: boolean;
};

/** A server that is started again is waited for. */
const PATIENCE_MS = 10 * MINUTE;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 3 * SECOND;
const SLOWDOWN = 1.3;
const PAGE_SIZE = 100;
const BASE = '/api/v1';
const PLATFORM_FAILED = -1_000;

export const sessionPath = (id: string): string => `${BASE}/sessions/${encodeURIComponent(id)}`;

/** Sessions of one account. Whatever makes something is named, so that asking again makes nothing twice. */
export type Remote = ReturnType<typeof openRemote>;

export function openRemote(api: Api) {
  const get = <Body>(path: string, signal?: AbortSignal): Promise<Body> =>
    patiently(async () => (await api.get<Body>(path, { signal })).body, { signal, patienceMs: PATIENCE_MS });
  /** What is sent is not broken off: whether it had an effect would not be known. */
  const post = <Body>(path: string, body: object | undefined, idempotencyKey?: string): Promise<Body> =>
    patiently(async () => (await api.post<Body>(path, { body, idempotencyKey })).body, { patienceMs: PATIENCE_MS });
  return {
    async samples(dataset: string): Promise<RemoteSample[]> {
      const found: RemoteSample[] = [];
      for (let page = 1; ; page++) {
        const query = new URLSearchParams({ dataset, page: String(page), page_size: String(PAGE_SIZE) });
        const body = await get<{ samples: RemoteSample[]; has_more: boolean }>(`${BASE}/samples?${query.toString()}`);
        found.push(...body.samples);
        if (!body.has_more) return found;
      }
    },
    open: (body: { dataset: string; sample_id: string; ttl_minutes: number }, name: string) =>
      post<{ session_id: string }>(`${BASE}/sessions`, body, name),
    session: (id: string, signal?: AbortSignal) => get<RemoteSession>(sessionPath(id), signal),
    /** The session once it is ready or over. */
    settled: (id: string, signal: AbortSignal) =>
      until(
        () => get<RemoteSession>(sessionPath(id), signal),
        ({ status }) => status !== 'creating',
        signal,
      ),
    extend: (id: string, minutes: number) => post(`${sessionPath(id)}/extend`, { ttl_minutes: minutes }),
    exec: (id: string, body: { command: string; command_timeout: number }, name?: string) =>
      post<{ interaction_id: string }>(`${sessionPath(id)}/exec`, body, name),
    finished: (id: string, interaction: string, signal: AbortSignal | undefined) =>
      until(
        () => get<RemoteCommand>(`${sessionPath(id)}/interactions/${interaction}`, signal),
        (command) => command.exit_code !== null,
        signal,
      ),
    verify: (id: string, name: string) => post<{ job_id: string }>(`${sessionPath(id)}/verify`, undefined, name),
    graded: (id: string, job: string) =>
      until(
        () => get<RemoteJob>(`${sessionPath(id)}/verify/${job}`),
        ({ status }) => ['completed', 'error', 'cancelled'].includes(status),
        undefined,
      ),
    /** Closes it, unless it is over, and shows what it came to. */
    async close(id: string): Promise<RemoteSession> {
      await patiently(() => api.delete(sessionPath(id)), { patienceMs: PATIENCE_MS });
      return get<RemoteSession>(sessionPath(id));
    },
  };
}

/** Whether the platform failed, and not the command. */
export const isLost = ({ exit_code }: RemoteCommand): boolean => exit_code === PLATFORM_FAILED;

async function until<Result>(
  ask: () => Promise<Result>,
  done: (result: Result) => boolean,
  signal: AbortSignal | undefined,
): Promise<Result> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * SLOWDOWN, LONGEST_PAUSE_MS)) {
    const result = await ask();
    if (done(result)) return result;
    await sleep(pauseMs, undefined, signal && { signal });
  }
}
