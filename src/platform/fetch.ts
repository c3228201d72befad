import { lookup, Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { Client, type Dispatcher } from 'undici';
import { SECOND } from '../kernel/time.ts';
import { reachOf } from './addresses.ts';

/** From the first look-up to the last byte of the reply. */
const TIME_LIMIT = 10 * SECOND;
/** Bytes of a reply that are kept where nobody asks for more; the rest is not read. */
const MAX_REPLY_BYTES = 4_096;
const MAX_REPLY_HEADER_BYTES = 16_384;
const MAX_URL_LENGTH = 2_048;
const HTTPS_PORT = 443;
/** Ports below are those of other services (mail, name, file servers); a customer's receiver has no reason to be there. */
const FIRST_FREE_PORT = 1_024;

export type OutgoingRequest = {
  url: string;
  method: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  /** Ends the request early. */
  signal?: AbortSignal;
};

export type Failure =
  | 'invalid_url'
  | 'private_address'
  | 'dns'
  | 'refused'
  | 'reset'
  | 'tls'
  | 'timeout'
  | 'redirect'
  | 'malformed'
  | 'aborted';

/** What came of a request. Any reply but a redirect is `ok`, whatever its status; failure is ordinary here, not thrown. */
export type Outcome = { ok: true; status: number; body: string } | { ok: false; reason: Failure; status?: number };

export type OutgoingFetch = {
  /** Sends one request to an address that a customer has named. */
  send: (request: OutgoingRequest) => Promise<Outcome>;
  /**
   * What is wrong with a URL that requests shall go to, worded to follow its name; undefined where nothing is. Names
   * are not looked up here: where they lead is checked anew at every request.
   */
  urlProblem: (url: string) => string | undefined;
};

/** Every address of a host name, as text. Throws where there is none. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<string[]>;

export type FetchOptions = {
  /**
   * `loopback` also reaches this host itself, over http too: development and tests. `allowed` reaches everything: for
   * addresses that the operator has named.
   */
  privateAddresses: PrivateAddresses;
  resolve?: Resolve;
  timeLimitMs?: number;
  maxReplyBytes?: number;
};

type PrivateAddresses = 'refused' | 'loopback' | 'allowed';

/**
 * HTTP to addresses that others name. A name is looked up once, every address it has must be one that may be reached
 * (public, where a customer names it), and the connection goes to the addresses that were checked, so that a second
 * answer of the name server changes nothing. Redirects are not followed and nothing is remembered between requests.
 */
export function createFetch(options: FetchOptions): OutgoingFetch {
  const { privateAddresses, timeLimitMs = TIME_LIMIT, maxReplyBytes = MAX_REPLY_BYTES } = options;
  const { resolve = privateAddresses === 'allowed' ? askSystem : askNameServers } = options;
  const send = async (request: OutgoingRequest): Promise<Outcome> => {
    if (urlProblem(request.url, privateAddresses)) return { ok: false, reason: 'invalid_url' };
    const limit = AbortSignal.timeout(timeLimitMs);
    const signal = request.signal ? AbortSignal.any([limit, request.signal]) : limit;
    const failed = (error: unknown): Outcome => ({ ok: false, reason: reasonOf(error, limit, request.signal) });
    const url = new URL(request.url);
    const addresses = await addressesOf(url, resolve, signal).catch(() => undefined);
    if (!addresses) return signal.aborted ? failed(signal.reason) : { ok: false, reason: 'dns' };
    if (!addresses.every((address) => mayReach(address, url, privateAddresses)))
      return { ok: false, reason: 'private_address' };
    return exchange(url, addresses, { ...request, signal, maxReplyBytes }).catch(failed);
  };
  return { send, urlProblem: (url) => urlProblem(url, privateAddresses) };
}

function urlProblem(text: string, privateAddresses: PrivateAddresses): string | undefined {
  if (text.length > MAX_URL_LENGTH) return `must be at most ${MAX_URL_LENGTH} characters`;
  const url = URL.parse(text);
  if (!url) return 'must be a URL';
  const strict = privateAddresses === 'refused';
  if (url.protocol !== 'https:' && (strict || url.protocol !== 'http:')) return 'must use https';
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password';
  const address = literalAddress(url);
  if (address && !mayReach(address, url, privateAddresses)) return 'must not lead into a private network';
  const port = url.port === '' ? HTTPS_PORT : Number(url.port);
  if (strict && port !== HTTPS_PORT && port < FIRST_FREE_PORT)
    return `must use port ${HTTPS_PORT} or one from ${FIRST_FREE_PORT}`;
  return undefined;
}

function mayReach(address: string, url: URL, privateAddresses: PrivateAddresses): boolean {
  if (privateAddresses === 'allowed') return true;
  const reach = reachOf(address);
  return (reach === 'public' && url.protocol === 'https:') || (reach === 'loopback' && privateAddresses === 'loopback');
}

/** The address that a URL's host is without asking anyone (RFC 6761 for `localhost`). */
function literalAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '');
  if (host === 'localhost' || host.endsWith('.localhost')) return '127.0.0.1';
  return isIP(host) ? host : undefined;
}

async function addressesOf(url: URL, resolve: Resolve, signal: AbortSignal): Promise<string[] | undefined> {
  const literal = literalAddress(url);
  if (literal) return [literal];
  const gaveUp = new Promise<never>((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
  const found = await Promise.race([resolve(url.hostname, signal), gaveUp]);
  return found.length > 0 ? found : undefined;
}

/**
 * The name servers themselves, not the system's look-up: that one holds a thread of the process for every slow name,
 * and a customer may name as many as he likes.
 */
async function askNameServers(host: string, signal: AbortSignal): Promise<string[]> {
  const resolver = new Resolver();
  signal.addEventListener('abort', () => resolver.cancel(), { once: true });
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
}

/** What the system knows, its own files too: where the operator has named the host, it may stand only there. */
const askSystem: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

async function exchange(
  url: URL,
  addresses: string[],
  request: OutgoingRequest & { signal: AbortSignal; maxReplyBytes: number },
): Promise<Outcome> {
  const client = new Client(url.origin, {
    connect: { lookup: pinnedTo(addresses) },
    allowH2: false,
    maxHeaderSize: MAX_REPLY_HEADER_BYTES,
  });
  const { method, headers, body, signal, maxReplyBytes } = request;
  // The signal alone would leave a request waiting that has no connection yet.
  signal.addEventListener('abort', () => void client.destroy(), { once: true });
  try {
    const reply = await client.request({ path: url.pathname + url.search, method, headers, body, signal });
    const redirects = reply.statusCode >= 300 && reply.statusCode < 400;
    const text = await beginningOf(reply.body, maxReplyBytes);
    return redirects
      ? { ok: false, reason: 'redirect', status: reply.statusCode }
      : { ok: true, status: reply.statusCode, body: text };
  } finally {
    await client.destroy();
  }
}

/** A look-up that knows only the addresses that were checked. */
function pinnedTo(addresses: string[]): LookupFunction {
  const known = addresses.map((address) => ({ address, family: isIP(address) }));
  const [first = { address: '', family: 0 }] = known;
  return (_host, options, found) => (options.all ? found(null, known) : found(null, first.address, first.family));
}

async function beginningOf(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= maxBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxBytes).toString('utf8');
}

/** Node, OpenSSL and undici name causes by codes; these are the families that can come of one request. */
const FAMILIES: [RegExp, Failure][] = [
  [/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EACCES)$/, 'refused'],
  [/TIMEOUT|^ETIMEDOUT$/, 'timeout'],
  [/^(HTTPParserError|HPE_|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES)/, 'malformed'],
  [/CERT|^ERR_TLS|^ERR_SSL|^EPROTO$|SIGNED|UNABLE_TO|CHAIN/, 'tls'],
];

function reasonOf(error: unknown, limit: AbortSignal, caller: AbortSignal | undefined): Failure {
  if (limit.aborted) return 'timeout';
  if (caller?.aborted) return 'aborted';
  if (!(error instanceof Error)) return 'reset';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return FAMILIES.find(([pattern]) => pattern.test(code))?.[1] ?? 'reset';
}
