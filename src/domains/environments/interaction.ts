import type { Id } from '../../kernel/ids.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { SessionId } from './session.ts';

export type InteractionId = Id<'interaction'>;

/** A command that is run in a session. */
export type Interaction = {
  id: InteractionId;
  sessionId: SessionId;
  command: string;
  timeoutSeconds: number;
  state: 'pending' | 'completed' | 'error';
  createdAt: Date;
  startedAt: Date | undefined;
  endedAt: Date | undefined;
  /** Set when it has ended. */
  exitCode: number | undefined;
  message: string | undefined;
  stdout: Output;
  stderr: Output;
};

/** What was printed: what of it is kept, and how much it was in all. */
export type Output = { kept: Buffer; bytes: number };
export type Stream = 'stdout' | 'stderr';

/** The clients of the contract take this exit code for a failure of the platform and raise what `message` says. */
export const PLATFORM_FAILURE = -1_000;
/** As `timeout` of a shell ends. */
export const TIMED_OUT = 124;
/** As a shell tells a program that could not be run. */
export const CANNOT_RUN = 126;
/** As a shell tells a program that a signal has ended. */
export const SIGNAL_BASE = 128;
export const KILLED = 137;

export const DEFAULT_COMMAND_SECONDS = 300;
export const MAX_COMMAND_SECONDS = 24 * 60 * 60;
export const MAX_COMMAND_LENGTH = 100_000;
/** Bytes of each stream that are kept; the rest is counted. */
export const MAX_KEPT_BYTES = 1_000_000;
export const MAX_PENDING = 16;
/** How long after its end a command can still be joined by whoever takes it up again. */
export const KEEP_MS = 10 * MINUTE;

/** How a command ended. */
export type End = { state: 'completed' | 'error'; exitCode: number; message: string | undefined };

export const ENDS = {
  exited: (exitCode: number): End => ({ state: 'completed', exitCode, message: undefined }),
  timedOut: (seconds: number): End => ({
    state: 'completed',
    exitCode: TIMED_OUT,
    message: `The command was ended after ${seconds} seconds`,
  }),
  notRun: (message: string): End => ({ state: 'completed', exitCode: CANNOT_RUN, message }),
  sessionOver: (): End => ({
    state: 'error',
    exitCode: KILLED,
    message: 'The session ended while the command was running',
  }),
  lost: (message: string): End => ({ state: 'error', exitCode: PLATFORM_FAILURE, message }),
} as const;

/** What a caller must know of what was not kept. */
export function messageOf({ message, stdout, stderr }: Interaction): string | undefined {
  const cut = ([name, { kept, bytes }]: [Stream, Output]): string[] =>
    bytes > kept.length ? [`${name} was cut after ${kept.length} of ${bytes} bytes`] : [];
  const streams: [Stream, Output][] = [
    ['stdout', stdout],
    ['stderr', stderr],
  ];
  return [...(message === undefined ? [] : [message]), ...streams.flatMap(cut)].join('; ') || undefined;
}
