import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { DialledAgent, Unreached } from './dialled.ts';

export type DialledRequest = {
  method: 'GET' | 'POST';
  path: string;
  /** JSON. */
  body?: string;
  /** From the dial to the last byte of the reply. */
  timeLimitMs: number;
  /** A longer reply is not taken. */
  maxReplyBytes: number;
  /** Ends it early. */
  signal: AbortSignal;
};

/** What came of it. Any reply is `answered`, whatever its status; failure is ordinary here, not thrown. */
export type DialledReply =
  | { kind: 'answered'; status: number; body: string }
  | { kind: 'unreached'; cause: unknown } // nobody took the connection
  | { kind: 'broken'; cause: unknown } // it was taken, and no whole answer came
  | { kind: 'silent' }; // no answer came in time

/** One request to the server of HTTP that is behind a dial, on a connection of its own. */
export async function askDialled(
  dial: (signal: AbortSignal) => Promise<Duplex>,
  wanted: DialledRequest,
): Promise<DialledReply> {
  const limit = AbortSignal.timeout(wanted.timeLimitMs);
  const signal = AbortSignal.any([limit, wanted.signal]);
  try {
    return await exchange(new DialledAgent(() => dial(signal), { keep: false }), { ...wanted, signal });
  } catch (cause) {
    if (limit.aborted) return { kind: 'silent' };
    return cause instanceof Unreached ? { kind: 'unreached', cause: cause.cause } : { kind: 'broken', cause };
  }
}

async function exchange(
  agent: DialledAgent,
  { method, path, body = '', maxReplyBytes, signal }: DialledRequest,
): Promise<DialledReply> {
  const headers = {
    host: 'localhost',
    ...(method === 'POST' && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  };
  const outgoing = request({ method, path, headers, agent, signal });
  // It fails once more when it is cut after its answer has begun, which is told where that is read.
  outgoing.on('error', () => {});
  outgoing.end(body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += (chunk as Buffer).length;
    if (length > maxReplyBytes) throw new Error(`The answer has more than ${maxReplyBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return { kind: 'answered', status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}
