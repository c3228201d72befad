import { Readable } from 'node:stream';
import { AppError } from '../../../kernel/errors.ts';
import { SECOND } from '../../../kernel/time.ts';
import type { RawAnswer } from '../../contract.ts';
import { headerOf, type Visit } from './access.ts';
import { isGone, RpcFailure, rpcBody } from './failure.ts';
import { endFrame, messageFrame } from './protocol.ts';

/** What a server stream tells, and how to let go of what it tells of. */
export type Source = { messages: AsyncIterable<unknown>; close(): void };

export type StreamOptions = {
  /** Told when nothing else was for so long. */
  keepalive: unknown;
  /** When the caller has had enough; undefined without end. */
  timeoutMs: number | undefined;
};

/** Streams that this process serves at a time: of one sandbox, and of all. Clients hold many open for long. */
export const MAX_OPEN = { each: 1_000, all: 16_384 };
const DEFAULT_KEEPALIVE_SECONDS = 90;
const MAX_KEEPALIVE_SECONDS = 3_600;
/** No timer can be set for longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Answers a stream. What goes wrong before its first message is told in it as well, always with status 200; only a
 * sandbox that is gone is a status of its own.
 */
export async function streamed(visit: Visit, options: StreamOptions, open: () => Promise<Source>): Promise<RawAnswer> {
  try {
    return framed(pumped(visit, options, await counted(visit, open)));
  } catch (error) {
    if (isGone(error) || !(error instanceof AppError)) throw error;
    return framed(Readable.from([endFrame({ error: rpcBody(error) })]));
  }
}

const framed = (body: Readable): RawAnswer => ({
  status: 200,
  headers: { 'content-type': 'application/connect+json' },
  body,
});

/** Opens a source, and counts it for its sandbox until it is closed. */
async function counted({ openStreams, sandbox: { code } }: Visit, open: () => Promise<Source>): Promise<Source> {
  if (!openStreams.take(code))
    throw new RpcFailure('resource_exhausted', `A sandbox has at most ${MAX_OPEN.each} open streams at a time`);
  let isOpen = true;
  const letGo = () => {
    if (isOpen) openStreams.give(code);
    isOpen = false;
  };
  const source = await open().catch((error: unknown) => {
    letGo();
    throw error;
  });
  return {
    messages: source.messages,
    close: () => {
      letGo();
      source.close();
    },
  };
}

/** The frames of a source, no faster than they are taken. A source that is lost breaks the connection off. */
function pumped(visit: Visit, { keepalive, timeoutMs }: StreamOptions, source: Source): Readable {
  const timers: NodeJS.Timeout[] = [];
  let isOver = false;
  let onTaken = (): void => {};
  const letGo = () => {
    isOver = true;
    for (const timer of timers) clearTimeout(timer);
    source.close();
    onTaken();
  };
  const frames = new Readable({
    read: () => onTaken(),
    destroy: (error, done) => {
      letGo();
      done(error);
    },
  });
  const end = (trailer: Parameters<typeof endFrame>[0]) => {
    if (isOver) return;
    letGo();
    frames.push(endFrame(trailer));
    frames.push(null);
  };
  const idle = setInterval(() => frames.push(messageFrame(keepalive)), keepaliveMs(visit));
  timers.push(idle);
  if (timeoutMs !== undefined) timers.push(setTimeout(() => end(TOO_LATE), Math.min(timeoutMs, MAX_TIMER_MS)));
  const pump = async () => {
    for await (const message of source.messages) {
      if (isOver) return;
      idle.refresh();
      if (!frames.push(messageFrame(message))) await new Promise<void>((resolve) => (onTaken = resolve));
    }
  };
  pump().then(
    () => end({}),
    (error: unknown) => {
      if (isOver) return;
      if (error instanceof AppError && !isGone(error)) end({ error: rpcBody(error) });
      else frames.destroy(error instanceof Error ? error : new Error(String(error)));
    },
  );
  return frames;
}

const TOO_LATE = { error: rpcBody(new RpcFailure('deadline_exceeded', 'context deadline exceeded')) };

function keepaliveMs({ request }: Visit): number {
  const seconds = Number(headerOf(request, 'keepalive-ping-interval'));
  return (seconds >= 1 && seconds <= MAX_KEEPALIVE_SECONDS ? seconds : DEFAULT_KEEPALIVE_SECONDS) * SECOND;
}
