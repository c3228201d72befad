import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

/** A request whose headers have not arrived by then is cut off. */
const HEADERS_TIMEOUT_MS = 60_000;
/** After this time, and each time again, a body must have brought so many bytes more, or it is not waited for. */
const BODY_CHECK_MS = 60_000;
const LEAST_BODY_BYTES = 65_536;
/** A client that takes nothing at all of what is there for it for so long is not waited for. */
const READ_CHECK_MS = 120_000;
/** Longer than the keep-alive of usual load balancers, so that it is them who close. */
const KEEP_ALIVE_MS = 72_000;
/** Names and values of a request's headers together; more is answered 431. */
export const MAX_HEADER_BYTES = 32_768;

/**
 * Stands before the server's own routes: sees every request by its head alone, and may take it for itself. What it
 * takes it answers; its body has not been read, its path not been looked at.
 */
export type Front = {
  takes(request: IncomingMessage): boolean;
  /** `routes` are the server's own, for what it only wanted to see. */
  serve(request: IncomingMessage, response: ServerResponse, routes: RequestListener): void;
  /** Whether a request for another protocol (`Upgrade`) is granted; else it is served like any other. */
  tunnels(request: IncomingMessage): boolean;
  /** Has the connection to itself, with what came behind the request's head. */
  tunnel(request: IncomingMessage, socket: Duplex, head: Buffer): void;
};

/** The HTTP/1.1 server in which fronts stand before the routes. Malformed and ambiguous framing is refused by Node. */
export function createFrontedServer(
  routes: RequestListener,
  fronts: readonly Front[],
  { readCheckMs = READ_CHECK_MS }: { readCheckMs?: number | undefined } = {},
): Server {
  const server: Server = createServer({
    // Of one whole request, which may be a large file. The body's pace is looked at instead.
    requestTimeout: 0,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    insecureHTTPParser: false,
    shouldUpgradeCallback: (request) => fronts.some((front) => front.tunnels(request)),
  });
  const serve: RequestListener = (request, response) => {
    expectBody(server, request, response);
    expectReader(response, readCheckMs);
    const front = fronts.find((each) => each.takes(request));
    return front ? front.serve(request, response, routes) : routes(request, response);
  };
  server.on('request', serve);
  // A front passes the question on; the routes take every body.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!fronts.some((front) => front.takes(request))) response.writeContinue();
    serve(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    fronts.find((front) => front.tunnels(request))?.tunnel(request, socket, head),
  );
  return server;
}

/**
 * Cuts off a client that sends its body so slowly that it only holds the connection. While it is being answered they
 * converse, at whatever pace they like.
 */
function expectBody(server: Server, request: IncomingMessage, response: ServerResponse): void {
  const { headers, socket } = request;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
  let seen = socket.bytesRead;
  const timer = setInterval(() => {
    const isOurTurn = request.readableLength >= request.readableHighWaterMark;
    const isAnswered = response.headersSent && !response.writableEnded;
    if (!isOurTurn && !isAnswered && socket.bytesRead - seen < LEAST_BODY_BYTES)
      server.emit('clientError', tooSlow(), socket);
    seen = socket.bytesRead;
  }, BODY_CHECK_MS).unref();
  for (const event of ['end', 'close']) request.once(event, () => clearInterval(timer));
}

/** Cuts off a client that only holds what it has asked for. */
function expectReader(response: ServerResponse, checkMs: number): void {
  const { socket } = response;
  if (!socket) return;
  const taken = (): number => socket.bytesWritten - socket.writableLength;
  let seen = taken();
  const timer = setInterval(() => {
    if (socket.writableLength > 0 && taken() === seen) socket.destroy();
    seen = taken();
  }, checkMs).unref();
  response.once('close', () => clearInterval(timer));
}

const tooSlow = (): Error => Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
