import { MINUTE, SECOND } from '../kernel/time.ts';
import { Failure } from './failure.ts';
import type { Secret } from './settings.ts';

const TIMEOUT_MS = 2 * MINUTE;

/** A reply of the server: as it came, and parsed. */
export type Reply<Body> = { text: string; body: Body };

type Request = { body?: object | undefined; signal?: AbortSignal | undefined; idempotencyKey?: string | undefined };

/** A server as one caller sees it. The type of a reply is the caller's knowledge of the API's documents. */
export type Api = {
  get<Body>(path: string, request?: Request): Promise<Reply<Body>>;
  post<Body>(path: string, request?: Request): Promise<Reply<Body>>;
  delete<Body>(path: string, request?: Request): Promise<Reply<Body>>;
  /** Sends a file as it is, however long that takes. */
  send<Body>(path: string, content: Blob): Promise<Reply<Body>>;
};

/** The server answered, and said no. */
export class Refusal extends Failure {
  readonly status: number;
  /** When it makes sense to ask again, where the server said so. */
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, { status, headers }: Response) {
    super(message);
    this.status = status;
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    this.retryAfterSeconds = Number.isFinite(seconds) ? seconds : undefined;
  }
}

/** No answer came. */
export class Unreachable extends Failure {}

export function openApi(url: string, secret?: Secret): Api {
  const exchange = async <Body>(
    path: string,
    init: RequestInit,
    signal: AbortSignal | undefined,
  ): Promise<Reply<Body>> => {
    const { response, text } = await send(url, path, init, signal);
    const parsed = parse(text);
    if (!response.ok) throw refusal(url, response, parsed, secret);
    if (parsed === undefined) throw new Failure(notFreehold(url, response));
    return { text, body: parsed as Body };
  };
  const common = { accept: 'application/json', ...(secret && { authorization: `Bearer ${secret.value}` }) };
  const call = <Body>(method: string, path: string, { body, signal, idempotencyKey }: Request = {}) => {
    const headers = {
      ...common,
      ...(body && { 'content-type': 'application/json' }),
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
    };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }), redirect: 'manual' as const };
    return exchange<Body>(path, init, within(signal));
  };
  return {
    get: (path, request) => call('GET', path, request),
    post: (path, request) => call('POST', path, request),
    delete: (path, request) => call('DELETE', path, request),
    send: (path, content) => {
      const headers = { ...common, 'content-type': 'application/octet-stream' };
      return exchange(path, { method: 'POST', headers, body: content, redirect: 'manual' }, undefined);
    },
  };
}

const within = (signal: AbortSignal | undefined): AbortSignal =>
  AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]);

async function send(url: string, path: string, init: RequestInit, signal: AbortSignal | undefined) {
  try {
    const response = await fetch(url + path, { ...init, ...(signal && { signal }) });
    return { response, text: await response.text() };
  } catch (error) {
    // An interrupt is its asker's, a timeout is ours.
    if (error instanceof Error && error.name === 'AbortError') throw error;
    throw new Unreachable(wordOutage(url, error), { cause: error });
  }
}

function wordOutage(url: string, error: unknown): string {
  if (!(error instanceof Error)) return `${url} cannot be reached.`;
  if (error.name === 'TimeoutError') return `${url} did not answer within ${TIMEOUT_MS / SECOND} seconds.`;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ECONNREFUSED':
      return `Nothing answers at ${url}: start a server with \`npm start\`, or name another with --url or FREEHOLD_URL.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The host of ${url} is not known: check --url or FREEHOLD_URL.`;
    default:
      return `${url} cannot be reached: ${cause instanceof Error ? cause.message : error.message}.`;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a reply without JSON is told by who asked
  }
}

function refusal(url: string, response: Response, body: unknown, secret: Secret | undefined): Refusal {
  const target = response.headers.get('location');
  if (target) return new Refusal(`${url} sends its callers to ${target}: give that server with --url.`, response);
  const said = saidIn(body);
  if (said === undefined) return new Refusal(notFreehold(url, response), response);
  return new Refusal(`${said.replace(/\.$/, '')}${hint(response, secret)}.`, response);
}

/** What a refusal says: most contracts have `error`, the environments contract has `detail`. */
function saidIn(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  if ('error' in body && typeof body.error === 'string') return body.error;
  if (!('detail' in body)) return undefined;
  if (typeof body.detail === 'string') return body.detail;
  const [first] = [body.detail].flat() as { loc?: unknown[]; msg?: unknown }[];
  return typeof first?.msg === 'string' ? `${first.loc?.join('.') ?? 'request'}: ${first.msg}` : undefined;
}

function hint({ status, headers }: Response, secret: Secret | undefined): string {
  const retryAfter = headers.get('retry-after');
  if (status === 401 && secret) return ` (the key is from ${secret.from})`;
  if (retryAfter) return `; try again in ${retryAfter} seconds`;
  if (status >= 500) return ` (request ${headers.get('x-request-id') ?? 'without an id'})`;
  return '';
}

const notFreehold = (url: string, { status, headers }: Response): string =>
  `${url} does not answer like a Freehold server: ${status} with ${headers.get('content-type') ?? 'no content'}.`;
