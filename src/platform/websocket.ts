import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { AppError } from '../kernel/errors.ts';
import { createShares } from '../kernel/shares.ts';
import { answerOn } from './forward.ts';
import type { Front, IncomingMessage, RequestListener, ServerResponse } from './front.ts';

/** A WebSocket that the server has accepted. */
export type Channel = {
  /** Text where it is a string, else binary. Resolves when it is passed on; at once where nobody is there any more. */
  send(data: string | Uint8Array): Promise<void>;
  /** Hears one message at a time: the next one is taken when this one is dealt with. */
  onMessage(hear: (data: Buffer, kind: 'text' | 'binary') => Promise<void>): void;
  onClose(hear: () => void): void;
  /** 1000 is an ordinary end, 1008 a refusal, 1011 a failure. */
  close(code: number, reason: string): void;
};

const MAX_MESSAGE_BYTES = 1_000_000;
/** In one process at a time: of one caller, and of all of them. */
export const MAX_CHANNELS = { each: 500, all: 2_000 };
/** Who does not answer a ping until the next one is gone. */
const PING_MS = 30_000;
/** How long a client may take to say goodbye when the server stops. */
const CLOSE_MS = 1_000;
const MAX_REASON_BYTES = 123;
const GOING_AWAY = 1_001;
const FAILED = 1_011;
/** How a browser, which cannot set headers here, brings its key: as one of the protocols that it offers. */
const KEY_PROTOCOL = 'bearer.';

/** What came with a request to become a WebSocket. */
const offers = new WeakMap<IncomingMessage, { socket: Duplex; head: Buffer }>();

export type SocketFrontOptions = {
  /** Whether something speaks WebSocket at this path. */
  speaks(path: string): boolean;
  routes: RequestListener;
};

/**
 * Lets requests for a WebSocket through to the routes like any other request: who may have it, and what is wrong, is
 * decided and answered there. The route that grants it takes the channel with `acceptChannel`.
 */
export function createSocketFront({ speaks, routes }: SocketFrontOptions): Front {
  return {
    takes: () => false,
    serve: (request, response, own) => own(request, response),
    tunnels: ({ method, headers, url = '/' }) =>
      method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && speaks(url.split('?', 1)[0] ?? '/'),
    tunnel(request, socket, head) {
      offers.set(request, { socket, head });
      takeKey(request);
      routes(request, answerOn(socket, request));
    },
  };
}

function takeKey({ headers }: IncomingMessage): void {
  const key = protocolsOf(headers['sec-websocket-protocol']).find((protocol) => protocol.startsWith(KEY_PROTOCOL));
  if (key !== undefined) headers.authorization ??= `Bearer ${key.slice(KEY_PROTOCOL.length)}`;
}

const protocolsOf = (offered: string | undefined): string[] =>
  (offered ?? '').split(',').map((protocol) => protocol.trim());

const server = new WebSocketServer({
  noServer: true,
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: false,
  // A browser wants one of those that it offered, and the key is none to show.
  handleProtocols: (offered) => [...offered].find((protocol) => !protocol.startsWith(KEY_PROTOCOL)) ?? false,
});

const channels = createShares<string>(MAX_CHANNELS);

/**
 * Throws where the request is no offer, or its caller has as many channels as it may have; what is wrong with its
 * handshake is answered to it.
 */
export function acceptChannel(
  { request, response, caller }: { request: IncomingMessage; response: ServerResponse; caller: string },
  use: (channel: Channel) => Promise<void>,
): void {
  const offer = offers.get(request);
  if (!offer) throw new AppError('invalid', 'This is a WebSocket: ask for it with Upgrade: websocket');
  if (!channels.take(caller)) throw new AppError('at_capacity', 'There are too many connections');
  const socket = offer.socket as Socket; // what Node's server hands over, and calls a Duplex
  socket.once('close', () => channels.give(caller));
  response.detachSocket(socket);
  server.handleUpgrade(request, socket, offer.head, (webSocket) => {
    const channel = channelOf(webSocket);
    use(channel).catch(() => channel.close(FAILED, 'Internal server error'));
  });
}

/** Ends all of them: their clients connect again, to whoever is there then. */
export function closeChannels(): void {
  for (const webSocket of server.clients) {
    webSocket.close(GOING_AWAY, 'The server is stopping');
    setTimeout(() => webSocket.terminate(), CLOSE_MS).unref();
  }
}

function channelOf(webSocket: WebSocket): Channel {
  keepAlive(webSocket);
  webSocket.on('error', () => webSocket.terminate());
  // What comes before anybody hears is not to be lost.
  webSocket.pause();
  return {
    send: (data) =>
      new Promise((resolve) => {
        if (webSocket.readyState === webSocket.OPEN) webSocket.send(data, () => resolve());
        else resolve();
      }),
    onMessage(hear) {
      // What has been read already comes all the same while the rest waits, so they stand in line.
      let last = Promise.resolve();
      let waiting = 0;
      webSocket.on('message', (data, isBinary) => {
        waiting++;
        webSocket.pause();
        last = last
          .then(() => hear(bytesOf(data), isBinary ? 'binary' : 'text'))
          .then(
            () => --waiting > 0 || webSocket.resume(),
            () => webSocket.close(FAILED, 'Internal server error'),
          )
          .then(() => {});
      });
      webSocket.resume();
    },
    onClose: (hear) => void webSocket.once('close', hear),
    close(code, reason) {
      webSocket.close(code, Buffer.from(reason).subarray(0, MAX_REASON_BYTES));
      // The other side's goodbye is still to be heard.
      webSocket.resume();
    },
  };
}

const bytesOf = (data: RawData): Buffer => {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
};

function keepAlive(webSocket: WebSocket): void {
  let isThere = true;
  webSocket.on('pong', () => (isThere = true));
  const timer = setInterval(() => {
    if (!isThere) return webSocket.terminate();
    isThere = false;
    webSocket.ping();
  }, PING_MS);
  webSocket.once('close', () => clearInterval(timer));
}
