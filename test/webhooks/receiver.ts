import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Arrival = { id: string; path: string; headers: IncomingHttpHeaders; body: string };

export type Receiver = {
  url: string;
  /** Every request that has arrived, in order. */
  arrivals: Arrival[];
  /** Requests that are being answered right now. */
  underWay(): number;
  /** The most requests that were ever answered at once. */
  peak(): number;
  close(): Promise<void>;
};

/** A real receiver on loopback. `behave` answers each request, or does not. */
export async function startReceiver(
  behave: (reply: ServerResponse, arrival: Arrival, count: number) => void | Promise<void>,
  host = '127.0.0.1',
): Promise<Receiver> {
  const arrivals: Arrival[] = [];
  let underWay = 0;
  let peak = 0;
  const server = createServer(async (request, reply) => {
    peak = Math.max(peak, ++underWay);
    reply.on('close', () => underWay--);
    const body = (await request.toArray()).join('');
    const arrival = {
      id: String(request.headers['webhook-id']),
      path: request.url ?? '',
      headers: request.headers,
      body,
    };
    arrivals.push(arrival);
    await behave(reply, arrival, arrivals.length);
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    arrivals,
    underWay: () => underWay,
    peak: () => peak,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
