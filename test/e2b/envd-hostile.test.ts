import { afterAll, beforeAll, expect, test } from 'vitest';
import { envdRoutes } from '../../src/apis/e2b/envd/index.ts';
import { framed, opened } from './frames.ts';
import { startInside, type Inside } from './inside.ts';

/** Everything that a caller can get wrong on the daemon's routes, which have no schemas to take it from. */
let inside: Inside;
beforeAll(async () => void (inside = await startInside()));
afterAll(async () => {
  expect(inside.failures).toEqual([]);
  await inside.close();
});

const METHODS = [
  'Start',
  'Connect',
  'List',
  'SendInput',
  'Update',
  'Stat',
  'ListDir',
  'Move',
  'WatchDir',
  'CreateWatcher',
  'constructor',
  '%00',
];
const routes = envdRoutes({} as Parameters<typeof envdRoutes>[0]).flatMap(({ method, path }) =>
  path.includes(':method')
    ? METHODS.map((name) => ({ method, path: path.replace(':method', name) }))
    : [{ method, path }],
);

const BODIES: [string, Uint8Array<ArrayBuffer> | string][] = [
  ['nothing', ''],
  ['a NUL', '\0'],
  ['bytes', new Uint8Array([255, 254, 0, 1, 2, 3])],
  ['null', 'null'],
  ['an endless array', '['.repeat(100_000)],
  ['a prototype', '{"__proto__":{"path":"/etc"},"constructor":{}}'],
  ['wrong types', '{"path":7,"process":[],"pid":"x","depth":-1,"size":{}}'],
  ['NUL in a path', '{"path":"a\\u0000b","process":{"cmd":"a\\u0000b","cwd":"\\u0000","args":["\\u0000"]}}'],
  ['a frame', framed({ process: { cmd: 'x', cwd: '~bob' }, path: '~bob' })],
  ['a frame of null', framed(null)],
];
const HEADERS: [string, Record<string, string>][] = [
  ['JSON', { 'content-type': 'application/json' }],
  ['Connect', { 'content-type': 'application/connect+json', 'connect-timeout-ms': '99999999999999999999' }],
  ['a form', { 'content-type': 'multipart/form-data; boundary=x' }],
  ['octets that are said to be compressed', { 'content-type': 'application/octet-stream', 'content-encoding': 'gzip' }],
  ['nonsense', { 'content-type': 'x', accept: '\u00ff', 'accept-encoding': ';;q=,*;q=0', range: 'bytes=-0' }],
];
const ORDERLY = new Set([200, 204, 400, 401, 404, 406, 409, 415, 416, 429, 501]);
const QUERIES = [
  '',
  '?path=%00',
  '?path=%ED%A0%80',
  '?path=~bob',
  '?path=..%2f..%2f',
  '?signature=x&signature_expiration=NaN',
  '?username=%00',
  '?path=a&username=../x',
];

test.each(HEADERS)(
  'whatever is sent as %s, it is refused in the contract’s shape and never a defect of ours',
  async (_what, headers) => {
    for (const { method, path } of routes)
      for (const [what, body] of BODIES)
        for (const query of method === 'GET' || path.endsWith('/files') ? QUERIES : ['']) {
          if (method === 'GET' && what !== 'nothing') continue;
          const controller = new AbortController();
          const response = await fetch(inside.origin + path + query, {
            method,
            headers: { ...opened, ...headers },
            ...(method === 'POST' && { body }),
            signal: controller.signal,
          });
          const said = `${method} ${path}${query} with ${what}: ${response.status}`;
          expect([said, ORDERLY.has(response.status)]).toEqual([said, true]);
          if (response.status >= 400) {
            const { code, message, ...rest } = (await response.json()) as Record<string, unknown>;
            expect([said, typeof message, rest]).toEqual([said, 'string', {}]);
            const kind = path.includes('.') ? typeof code : code;
            expect([said, kind]).toEqual([said, path.includes('.') ? 'string' : response.status]);
          }
          controller.abort();
        }
  },
);
