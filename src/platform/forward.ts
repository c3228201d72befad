import {
  request as httpRequest,
  ServerResponse,
  STATUS_CODES,
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { DialledAgent, Unreached, type Dial } from './dialled.ts';
import { join } from './join.ts';

/** What a target may say in the head of its answer. */
const MAX_RESPONSE_HEADER_BYTES = 65_536;
/** What may be repeated without a second effect, so that it can be sent again where a kept connection had ended. */
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Trailers that would change what has been said in the head. */
const NO_TRAILER =
  /^(transfer-encoding|content-length|content-encoding|content-type|content-range|trailer|host|connection|set-cookie|cookie|authorization|te|upgrade|expect|cache-control|x-forwarded-.*)$/;

export type Headers = Record<string, string | string[]>;

/** One request as it is to be sent, and how its answer is to be shown. */
export type Forwarded = {
  path: string;
  headers: Headers;
  /** The answer's headers as the client may see them. */
  present(headers: NodeJS.Dict<string[]>): Headers;
};

/** How it went. As long as it is not `answered`, nothing has been sent to the client. */
export type Outcome =
  | { kind: 'answered' }
  | { kind: 'unreached'; cause: unknown } // nobody took the connection
  | { kind: 'broken'; cause: unknown } // it was taken, and no HTTP answer came
  | { kind: 'silent' }; // nothing came for too long

export type Target = {
  /** Passes a request on and its answer back, both as they come. */
  forward(request: IncomingMessage, response: ServerResponse, forwarded: Forwarded): Promise<Outcome>;
  /** Passes on a request for another protocol, and joins the connections where it is granted. */
  tunnel(request: IncomingMessage, socket: Duplex, head: Buffer, forwarded: Forwarded): Promise<Outcome>;
  /** Whether no connection to it is kept. */
  isIdle(): boolean;
};

/**
 * What is behind a dial, as a server of HTTP/1.1. `idleMs`: a connection on which nothing passes for so long is cut.
 * Without `keep` each request has a connection of its own, which ends with it.
 */
export function createTarget(dial: Dial, { idleMs, keep = true }: { idleMs: number; keep?: boolean }): Target {
  const kept = new DialledAgent(dial, { keep });
  const fresh = new DialledAgent(dial, { keep: false });
  return {
    async forward(request, response, forwarded) {
      const isRepeatable = REPEATABLE.has(request.method ?? '') && !hasBody(request);
      const asked = { request, response, forwarded, idleMs };
      const first = await exchange(asked, isRepeatable ? kept : fresh);
      const mayRepeat = first.wasKept && first.outcome.kind === 'broken' && !response.destroyed;
      return mayRepeat ? (await exchange(asked, fresh)).outcome : first.outcome;
    },
    tunnel: (request, socket, head, forwarded) => tunnel({ request, socket, head, forwarded, idleMs, agent: fresh }),
    isIdle: () => kept.isIdle() && fresh.isIdle(),
  };
}

/** Whether the request has a body. Its framing is sent on as it was understood, whatever else the headers say. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

function open(request: IncomingMessage, { path, headers }: Forwarded, agent: Agent): ClientRequest {
  const { method, headers: given } = request;
  const length = given['content-length'];
  const framing =
    given['transfer-encoding'] !== undefined
      ? { 'transfer-encoding': 'chunked' }
      : length !== undefined && { 'content-length': length };
  return httpRequest({
    method,
    path,
    headers: { ...headers, ...framing },
    agent,
    setHost: false,
    maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
    insecureHTTPParser: false,
  });
}

type Asked = { request: IncomingMessage; response: ServerResponse; forwarded: Forwarded; idleMs: number };

function exchange(
  { request, response, forwarded, idleMs }: Asked,
  agent: Agent,
): Promise<{ outcome: Outcome; wasKept: boolean }> {
  return new Promise((resolve) => {
    const outgoing = open(request, forwarded, agent);
    let isSettled = false;
    const end = (outcome: Outcome) => {
      isSettled = true;
      clearTimeout(idle);
      request.unpipe(outgoing);
      response.off('close', abandon);
      resolve({ outcome, wasKept: outgoing.reusedSocket });
    };
    const fail = (outcome: Outcome) => {
      if (isSettled) return;
      outgoing.destroy();
      if (response.headersSent) response.destroy();
      end(response.headersSent ? { kind: 'answered' } : outcome);
    };
    const abandon = () => {
      if (!response.writableFinished) outgoing.destroy();
      end({ kind: 'answered' });
    };
    const idle = setTimeout(() => fail({ kind: 'silent' }), idleMs).unref();
    const passed = () => void idle.refresh();
    response.once('close', abandon);
    outgoing.on('error', (cause) =>
      fail(cause instanceof Unreached ? { kind: 'unreached', cause: cause.cause } : { kind: 'broken', cause }),
    );
    // Node lets go without a word where another protocol comes that nobody asked for.
    outgoing.once('close', () => response.headersSent || fail({ kind: 'broken', cause: 'no answer came' }));
    outgoing.on('continue', () => response.writeContinue());
    outgoing.once('response', (incoming) => {
      incoming.on('data', passed);
      passBack(incoming, response, forwarded, (cause) => fail({ kind: 'broken', cause }));
    });
    request.on('data', passed);
    sendBody(request, outgoing);
  });
}

function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  if (!hasBody(request)) return void outgoing.end();
  outgoing.flushHeaders();
  request.once('end', () => {
    if (outgoing.destroyed) return;
    const trailers = passable(request.trailersDistinct);
    if (request.headers['transfer-encoding'] !== undefined && trailers.length > 0) outgoing.addTrailers(trailers);
    outgoing.end();
  });
  request.pipe(outgoing, { end: false });
}

function passBack(
  incoming: IncomingMessage,
  response: ServerResponse,
  { present }: Forwarded,
  fail: (cause: unknown) => void,
): void {
  try {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, present(incoming.headersDistinct));
    response.flushHeaders();
  } catch (cause) {
    return fail(cause);
  }
  // An answer that stops short must not look whole.
  incoming.once('error', fail);
  incoming.once('end', () => {
    const trailers = passable(incoming.trailersDistinct);
    if (trailers.length > 0) response.addTrailers(trailers);
    response.end();
  });
  incoming.pipe(response, { end: false });
}

const passable = (trailers: NodeJS.Dict<string[]>): [string, string][] =>
  Object.entries(trailers).flatMap(([name, values = []]) =>
    NO_TRAILER.test(name) ? [] : values.map((value): [string, string] => [name, value]),
  );

type Tunnelled = {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  forwarded: Forwarded;
  idleMs: number;
  agent: Agent;
};

function tunnel({ request, socket, head, forwarded, idleMs, agent }: Tunnelled): Promise<Outcome> {
  const { path, present } = forwarded;
  const upgrade = { connection: 'upgrade', upgrade: request.headers.upgrade ?? '' };
  return new Promise((resolve) => {
    const outgoing = open(request, { path, present, headers: { ...forwarded.headers, ...upgrade } }, agent);
    const end = (outcome: Outcome) => {
      clearTimeout(idle);
      resolve(outcome);
    };
    socket.once('close', () => {
      outgoing.destroy();
      end({ kind: 'answered' });
    });
    const idle = setTimeout(() => outgoing.destroy(new Error('Nothing came')), idleMs).unref();
    outgoing.on('error', (cause) =>
      end(cause instanceof Unreached ? { kind: 'unreached', cause: cause.cause } : { kind: 'broken', cause }),
    );
    let isAnswered = false;
    outgoing.once('close', () => isAnswered || end({ kind: 'broken', cause: 'no answer came' }));
    outgoing.once('upgrade', (incoming, target, firstBytes) => {
      isAnswered = true;
      socket.write(switching({ ...present(incoming.headersDistinct), ...upgrade }));
      target.unshift(firstBytes);
      socket.unshift(head);
      void join(socket, target, idleMs);
    });
    outgoing.once('response', (incoming) => {
      isAnswered = true;
      passBack(incoming, answerOn(socket, request), forwarded, () => socket.destroy());
    });
    outgoing.end();
  });
}

/** The head of the answer that grants another protocol. */
function switching(headers: OutgoingHttpHeaders): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => `${name}: ${each}`),
  );
  return [`HTTP/1.1 101 ${STATUS_CODES[101]}`, ...lines, '', ''].join('\r\n');
}

/** An ordinary answer on a connection that was asked for another protocol; its last. */
export function answerOn(connection: Duplex, request: IncomingMessage): ServerResponse {
  const socket = connection as Socket; // what Node's server hands over, and calls a Duplex
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => {
    response.detachSocket(socket);
    socket.destroySoon();
  });
  socket.on('error', () => response.destroy());
  return response;
}
