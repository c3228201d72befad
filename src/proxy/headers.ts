import type { Headers } from '../platform/forward.ts';

/** Of one connection, not of the message that passes over it (RFC 9110 §7.6.1). Framing is made anew on each side. */
const OF_THE_CONNECTION = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Credentials and directions that are for us. `Authorization`, cookies and keys of its own belong to the application: at
 * its name `X-API-Key` is ours only where it is one of our keys, sent there by mistake.
 */
const OURS = new Set(['e2b-sandbox-id', 'e2b-sandbox-port', 'e2b-traffic-access-token', 'x-access-token']);
const KEY_HEADERS = new Set(['x-api-key', 'x-internal-api-key']);
const OUR_KEY = /^(Bearer\s+)?(bod_live_|e2b_)/i;

/** What only a proxy may say of the client. Ours is the only one that the application can believe. */
const ABOUT_THE_CLIENT = /^(forwarded|via|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip|x-forwarded(-.*)?)$/;

/**
 * What an application must not tell a browser: it would reach the names of other tenants. `Clear-Site-Data` takes the
 * cookies of the whole site, `Alt-Svc` sends the name's visitors to another port of this host.
 */
const NOT_TO_BROWSERS = new Set(['alt-svc', 'clear-site-data']);

/** At the server's own origin an answer of a tenant is data for a program: no page, and nothing that a browser keeps. */
const NOT_AT_OUR_ORIGIN = new Set([
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'service-worker-allowed',
  'set-cookie',
  'strict-transport-security',
]);
const AS_DATA: Headers = {
  'content-security-policy': "sandbox; default-src 'none'",
  'x-content-type-options': 'nosniff',
  vary: 'E2b-Sandbox-Id, E2b-Sandbox-Port',
  'cache-control': 'no-store',
};

export type Client = {
  /** Where it asks: at the application's own name, or at the server's, where keys are ours whatever they look like. */
  at: 'name' | 'our origin';
  address: string;
  protocol: 'http' | 'https';
  host: string;
  requestId: string;
};

/** The headers that an application sees. `host`: the name under which it is asked. */
export function toApplication(given: NodeJS.Dict<string[]>, client: Client, host: string): Headers {
  const wantsTrailers = listed(given['te']).some((coding) => coding === 'trailers');
  const isOurs = (name: string, values: readonly string[]): boolean =>
    OURS.has(name) ||
    (KEY_HEADERS.has(name) && (client.at === 'our origin' || values.some((value) => OUR_KEY.test(value.trim()))));
  return {
    ...without(given, (name, values) => isOurs(name, values) || ABOUT_THE_CLIENT.test(name) || name === 'host'),
    ...(wantsTrailers && { te: 'trailers' }),
    host,
    'x-forwarded-for': client.address,
    'x-forwarded-host': client.host,
    'x-forwarded-proto': client.protocol,
    'x-real-ip': client.address,
    'x-request-id': client.requestId,
  };
}

/** The headers that a client of the application named `host` sees. */
export function toClient(given: NodeJS.Dict<string[]>, host: string, requestId: string): Headers {
  const cookies = given['set-cookie']?.map((cookie) => hostOnly(cookie, host));
  return {
    'x-request-id': requestId,
    ...without(given, (name) => NOT_TO_BROWSERS.has(name)),
    ...length(given),
    ...(cookies && { 'set-cookie': cookies }),
  };
}

/** The headers of an answer that is given at the server's own origin. */
export const toProgram = (given: NodeJS.Dict<string[]>, requestId: string): Headers => ({
  ...without(given, (name) => NOT_TO_BROWSERS.has(name) || NOT_AT_OUR_ORIGIN.has(name)),
  ...length(given),
  ...AS_DATA,
  'x-request-id': requestId,
});

const length = (given: NodeJS.Dict<string[]>): Headers | undefined => {
  const [only] = given['transfer-encoding'] ? [] : (given['content-length'] ?? []);
  return only === undefined ? undefined : { 'content-length': only };
};

/** Everything but what belongs to the connection, what the sender declares to belong to it, and what is `unwanted`. */
function without(
  given: NodeJS.Dict<string[]>,
  unwanted: (name: string, values: readonly string[]) => boolean,
): Headers {
  const declared = new Set(listed(given['connection']).map(plain));
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, values]) =>
      !values || OF_THE_CONNECTION.has(plain(name)) || declared.has(plain(name)) || unwanted(plain(name), values)
        ? []
        : [[name, values]],
    ),
  );
}

/** Many applications cannot tell `X_Real_IP` from `X-Real-IP`. */
const plain = (name: string): string => name.replaceAll('_', '-');

const listed = (values: readonly string[] | undefined): string[] =>
  (values ?? []).flatMap((value) => value.split(',')).map((item) => item.trim().toLowerCase());

/** A cookie for other names than the application's own, which are other tenants', becomes one for its own alone. */
function hostOnly(cookie: string, host: string): string {
  const [pair = '', ...attributes] = cookie.split(';');
  return [pair, ...attributes.filter((attribute) => !reachesBeyond(attribute, host))].join(';');
}

function reachesBeyond(attribute: string, host: string): boolean {
  const [name = '', ...value] = attribute.split('=');
  if (name.trim().toLowerCase() !== 'domain') return false;
  return value.join('=').trim().toLowerCase().replace(/^\./, '') !== host;
}
