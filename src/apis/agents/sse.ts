import { PassThrough } from 'node:stream';
import { isAppError } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';

/** One event of an event stream. */
export type ServerEvent = { event: string; data: unknown };

/** Connections on which nothing passes are cut by what is in between. */
const KEEPALIVE_MS = 15_000;

/**
 * An answer that goes on as long as there are events and somebody listens. What goes wrong on the way is its last
 * event, `error`; `letGo` is called when it is over.
 */
export function eventStream(events: AsyncIterable<ServerEvent>, letGo: () => void): Answer {
  const body = new PassThrough();
  const beat = setInterval(() => body.writableNeedDrain || body.write(':\n\n'), KEEPALIVE_MS);
  body.once('close', () => {
    clearInterval(beat);
    letGo();
  });
  void pump(events, body);
  return { status: 200, body, headers: { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' } };
}

async function pump(events: AsyncIterable<ServerEvent>, body: PassThrough): Promise<void> {
  try {
    for await (const event of events) {
      if (body.destroyed) return;
      if (!body.write(textOf(event))) await roomIn(body);
    }
  } catch (error) {
    if (!body.destroyed) body.write(textOf({ event: 'error', data: { error: wordsFor(error) } }));
  }
  body.end();
}

const roomIn = (body: PassThrough): Promise<void> =>
  new Promise((resolve) => {
    const on = () => {
      body.off('drain', on).off('close', on);
      resolve();
    };
    body.once('drain', on).once('close', on);
  });

const textOf = ({ event, data }: ServerEvent): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
const wordsFor = (error: unknown): string => (isAppError(error) ? error.message : 'Internal server error');
