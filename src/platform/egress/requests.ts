import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket, type SecureContext } from 'node:tls';
import { MINUTE } from '../../kernel/time.ts';
import type { Dial } from '../dialled.ts';
import { createTarget, type Forwarded, type Headers, type Target } from '../forward.ts';
import { hostName } from './greeting.ts';

/** The way of one request: how its host is reached, and what its headers become. Undefined where it may not go. */
export type Way = { dial: Dial; headers: Readonly<Record<string, string>> } | undefined;
/** Asked anew for each request; undefined stands for a host that is no name. */
export type FindWay = (name: string | undefined) => Promise<Way>;

const IDLE_MS = 15 * MINUTE;
/** The first head of a connection is whole by then, or never. Those that follow have the time of an idle connection. */
const HEAD_MS = MINUTE;
const MAX_HEADER_BYTES = 65_536;
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'transfer-encoding',
  'content-length',
  'upgrade',
  'te',
  'trailer',
  'expect',
]);

export type Requests = {
  /** Serves what comes over a connection as HTTP/1.1, each request by the way that is found for it. */
  serve(stream: Duplex, findWay: FindWay): void;
};

export function createRequests({ headMs = HEAD_MS, idleMs = IDLE_MS } = {}): Requests {
  const ways = new WeakMap<Duplex, FindWay>();
  const heads = awaitHeads(idleMs);
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0, keepAliveTimeout: idleMs });
  const begin = async (request: IncomingMessage) => {
    const { name, path } = targetOf(request);
    const way = await ways.get(request.socket)?.(name);
    if (!way) return undefined;
    // The way is this request's alone: a connection that outlived it would serve nobody, and nobody would count it.
    const target: Target = createTarget(way.dial, { idleMs, keep: false });
    return { target, forwarded: forwardedOf(request, path, way.headers) };
  };
  server.on('request', (request, response) => {
    heads.arrived(request.socket, response);
    void begin(request)
      .then(async (begun) => {
        if (!begun) return refuse(response, 403, 'The rules of this sandbox do not allow this host.');
        const { kind } = await begun.target.forward(request, response, begun.forwarded);
        if (kind !== 'answered') refuse(response, kind === 'silent' ? 504 : 502, 'The host could not be reached.');
      })
      .catch(() => refuse(response, 502, 'The host could not be reached.'));
  });
  server.on('upgrade', (request, socket, head) => {
    heads.arrived(socket);
    void begin(request)
      .then(async (begun) => {
        const outcome = await begun?.target.tunnel(request, socket, head, begun.forwarded);
        if (outcome?.kind !== 'answered') socket.destroy();
      })
      .catch(() => socket.destroy());
  });
  server.on('clientError', (_, socket) => socket.destroy());
  return {
    serve(stream, findWay) {
      ways.set(stream, findWay);
      heads.expect(stream, headMs);
      server.emit('connection', stream);
      // It was held back while its first bytes were looked at.
      stream.resume();
    },
  };
}

/**
 * Cuts connections whose next request does not come, also where a part of its head did: Node keeps the time of those
 * alone that it has accepted itself. Nothing is waited for while a request is answered.
 */
function awaitHeads(idleMs: number) {
  const waits = new WeakMap<Duplex, { timer: NodeJS.Timeout; answering: number }>();
  const expect = (stream: Duplex, withinMs: number): void => {
    const timer = setTimeout(() => stream.destroy(), withinMs).unref();
    waits.set(stream, { timer, answering: 0 });
    stream.once('close', () => clearTimeout(waits.get(stream)?.timer));
  };
  /** A request has come; without a response, the connection is for something else from now on. */
  const arrived = (stream: Duplex, response?: ServerResponse): void => {
    const wait = waits.get(stream);
    if (!wait) return;
    clearTimeout(wait.timer);
    wait.answering += 1;
    response?.once('close', () => {
      wait.answering -= 1;
      if (wait.answering === 0 && !stream.destroyed) wait.timer = setTimeout(() => stream.destroy(), idleMs).unref();
    });
  };
  return { expect, arrived };
}

/** TLS over a connection, as the server. */
export function answeredAs(stream: Duplex, secureContext: SecureContext): Duplex {
  const secure = new TLSSocket(stream, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] });
  secure.on('error', () => stream.destroy());
  secure.once('close', () => stream.destroy());
  stream.once('close', () => secure.destroy());
  return secure;
}

/** Whom a request is for. Two hosts are none: servers differ in which of them they take. */
function targetOf({ url = '/', headersDistinct }: IncomingMessage): { name: string | undefined; path: string } {
  const hosts = headersDistinct['host'] ?? [];
  const absolute = /^https?:\/\//i.test(url) ? URL.parse(url) : undefined;
  const host = absolute?.host ?? (hosts.length === 1 ? hosts[0] : undefined);
  const name = host === undefined ? undefined : hostName(host.replace(/:\d{1,5}$/, ''));
  const agrees = !absolute || hosts.length === 0 || hosts[0]?.toLowerCase() === absolute.host;
  return { name: agrees ? name : undefined, path: absolute ? absolute.pathname + absolute.search : url };
}

function forwardedOf(request: IncomingMessage, path: string, injected: Readonly<Record<string, string>>): Forwarded {
  const headers = passable(request.headersDistinct);
  for (const [name, value] of Object.entries(injected)) headers[name.toLowerCase()] = value;
  return { path, headers, present: passable };
}

/** Without what holds for one connection only, also where `Connection` names it. */
function passable(headers: NodeJS.Dict<string[]>): Headers {
  const named = (headers['connection'] ?? []).flatMap((line) => line.toLowerCase().split(/\s*,\s*/));
  const kept = Object.entries(headers).flatMap(([name, values]) =>
    values === undefined || HOP_BY_HOP.has(name) || named.includes(name)
      ? []
      : [[name, values.length === 1 ? String(values[0]) : values] as const],
  );
  return Object.fromEntries(kept);
}

function refuse(response: ServerResponse, status: number, text: string): void {
  if (response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${text}\n`);
}
