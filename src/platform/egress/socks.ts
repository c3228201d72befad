import { isIPv4 } from 'node:net';
import type { Duplex } from 'node:stream';
import { SECOND } from '../../kernel/time.ts';

/** A SOCKS5 proxy (RFC 1928), and how to log in there (RFC 1929). */
export type SocksProxy = { host: string; port: number; username?: string | undefined; password?: string | undefined };

const VERSION = 5;
const LOGIN_VERSION = 1;
const NO_LOGIN = 0;
const LOGIN = 2;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN = 3;
const IPV6 = 4;
const TIMEOUT_MS = 10 * SECOND;

/** Asks the proxy at the other end to connect to a name or an IPv4 address. Rejects where it does not. */
export async function throughSocks(
  stream: Duplex,
  { username, password = '' }: Pick<SocksProxy, 'username' | 'password'>,
  target: { host: string; port: number },
): Promise<void> {
  const timer = setTimeout(() => stream.destroy(new Error('The proxy did not answer in time')), TIMEOUT_MS);
  try {
    stream.write(Buffer.from(username === undefined ? [VERSION, 1, NO_LOGIN] : [VERSION, 2, NO_LOGIN, LOGIN]));
    const [version, method] = await take(stream, 2);
    if (version !== VERSION || (method !== NO_LOGIN && (method !== LOGIN || username === undefined)))
      throw new Error('The proxy speaks no SOCKS5 that we can');
    if (method === LOGIN) await logIn(stream, username ?? '', password);
    stream.write(Buffer.concat([Buffer.from([VERSION, CONNECT, 0]), addressOf(target.host), portOf(target.port)]));
    const [, reply, , kind] = await take(stream, 4);
    if (reply !== 0) throw new Error(`The proxy refused: ${reply}`);
    await take(stream, 2 + (await lengthOf(stream, kind)));
  } finally {
    clearTimeout(timer);
  }
}

async function logIn(stream: Duplex, username: string, password: string): Promise<void> {
  stream.write(Buffer.concat([Buffer.from([LOGIN_VERSION]), counted(username), counted(password)]));
  const [, status] = await take(stream, 2);
  if (status !== 0) throw new Error('The proxy refused the login');
}

const counted = (text: string): Buffer => Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);

const addressOf = (host: string): Buffer =>
  isIPv4(host)
    ? Buffer.from([IPV4, ...host.split('.').map(Number)])
    : Buffer.concat([Buffer.from([DOMAIN]), counted(host)]);

const portOf = (port: number): Buffer => Buffer.from([port >> 8, port & 0xff]);

async function lengthOf(stream: Duplex, kind: number | undefined): Promise<number> {
  if (kind === IPV4) return 4;
  if (kind === IPV6) return 16;
  return (await take(stream, 1))[0] ?? 0;
}

/** Exactly so many bytes; what comes after stays in the stream. */
function take(stream: Duplex, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (chunk?: Buffer) => {
      stream.off('readable', look);
      stream.off('end', end);
      stream.off('close', end);
      if (chunk?.length === count) resolve(chunk);
      else reject(new Error('The proxy ended the connection'));
    };
    const end = () => done();
    const look = () => {
      const chunk: Buffer | null = stream.read(count);
      if (chunk) done(chunk);
    };
    stream.on('readable', look);
    stream.once('end', end);
    stream.once('close', end);
    if (stream.destroyed) return end();
    look();
  });
}
