import { INTERPRETER_PORT } from '../domains/sandboxes/index.ts';

/** The port of a sandbox at which the E2B contract finds the sandbox's own interface. */
export const ENVD_PORT = 49_983;
/** Where that interface stands among the server's own routes; clients with one URL for all sandboxes put it first. */
export const ENVD_PREFIX = '/e2b/envd';

/** Where what runs code in sandboxes of the code interpreter stands. */
export const INTERPRETER_PREFIX = '/e2b/code';

const MAX_PORT = 65_535;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const CODE = /^[a-z0-9]{1,63}$/;
/** `3000-i2k…`: a port of a sandbox, whether or not it was exposed under a name. */
const PORT_AND_CODE = /^(\d{1,5})-([a-z0-9]+)$/;

/** What of a request's head says where it goes. */
export type Head = {
  url: string;
  hosts: readonly string[];
  transferEncoding: string | undefined;
  sandboxId: string | undefined;
  sandboxPort: string | undefined;
};

export type Address =
  | { kind: 'own' } // the server's own routes
  | { kind: 'envd'; code: string; path: string } // a sandbox's own interface, which is ours
  | { kind: 'label'; label: string; host: string; path: string } // by name
  | { kind: 'pair'; code: string; port: number; path: string } // by headers, at the server's own origin
  | { kind: 'nowhere'; host: string } // no name that anybody could have
  | { kind: 'invalid'; why: string };

/** Where a request goes. Names below `appsDomain` are tenants' and never the server's; all others are the server's. */
export function addressOf(head: Head, appsDomain: string): Address {
  const host = nameOf(head.hosts[0] ?? '');
  const isTenants = host === appsDomain || host.endsWith(`.${appsDomain}`);
  if (!isTenants) return byHeaders(head);
  if (head.hosts.length > 1) return { kind: 'invalid', why: 'There is more than one Host header' };
  const wrong = flawOf(head);
  if (wrong !== undefined) return { kind: 'invalid', why: wrong };
  const label = host.slice(0, -appsDomain.length - 1);
  if (!LABEL.test(label)) return { kind: 'nowhere', host };
  const { port, code } = partsOf(label) ?? {};
  if (port === ENVD_PORT && code !== undefined) return { kind: 'envd', code, path: ENVD_PREFIX + head.url };
  return { kind: 'label', label, host, path: head.url };
}

/** A host without the port behind it and the dot of the root, however many there are. */
function nameOf(host: string): string {
  let name = host.toLowerCase().replace(/:\d*$/, '');
  while (name.endsWith('.')) name = name.slice(0, -1);
  return name;
}

/** The port and the sandbox that a label of the form `3000-code` names. */
export function partsOf(label: string): { port: number; code: string } | undefined {
  const [, digits, code] = PORT_AND_CODE.exec(label) ?? [];
  const port = portOf(digits);
  return port === undefined || code === undefined ? undefined : { port, code };
}

/** The sandbox whose interpreter an address leads to, if it has one. */
export function interpreterAt(address: Address): { code: string; path: string } | undefined {
  if (address.kind !== 'label' && address.kind !== 'pair') return undefined;
  const { port, code } = (address.kind === 'pair' ? address : partsOf(address.label)) ?? {};
  return port === INTERPRETER_PORT && code !== undefined
    ? { code, path: INTERPRETER_PREFIX + address.path }
    : undefined;
}

function byHeaders(head: Head): Address {
  const { url, sandboxId, sandboxPort } = head;
  if (sandboxId === undefined && sandboxPort === undefined) return { kind: 'own' };
  if (sandboxId === undefined || sandboxPort === undefined)
    return { kind: 'invalid', why: 'E2b-Sandbox-Id and E2b-Sandbox-Port belong together' };
  const port = portOf(sandboxPort);
  if (port === undefined) return { kind: 'invalid', why: `E2b-Sandbox-Port must be a port from 1 to ${MAX_PORT}` };
  const code = sandboxId.toLowerCase();
  if (!CODE.test(code)) return { kind: 'invalid', why: 'E2b-Sandbox-Id is no id of a sandbox' };
  const wrong = flawOf(head);
  if (wrong !== undefined) return { kind: 'invalid', why: wrong };
  const isPrefixed = url === ENVD_PREFIX || url.startsWith(`${ENVD_PREFIX}/`) || url.startsWith(`${ENVD_PREFIX}?`);
  if (port === ENVD_PORT) return { kind: 'envd', code, path: isPrefixed ? url : ENVD_PREFIX + url };
  const path = isPrefixed ? url.slice(ENVD_PREFIX.length) : url;
  return { kind: 'pair', code, port, path: path.startsWith('/') ? path : `/${path}` };
}

/** What would mean one thing to us and another to the application. */
function flawOf({ url, transferEncoding }: Head): string | undefined {
  if (!url.startsWith('/') && url !== '*') return 'The request target must be a path';
  if (transferEncoding !== undefined && transferEncoding.toLowerCase() !== 'chunked')
    return 'The only Transfer-Encoding is chunked';
  return undefined;
}

function portOf(digits: string | undefined): number | undefined {
  if (digits === undefined || !/^\d{1,5}$/.test(digits)) return undefined;
  const port = Number(digits);
  return port >= 1 && port <= MAX_PORT ? port : undefined;
}
