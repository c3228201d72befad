import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { MINUTE } from '../../../kernel/time.ts';

/** What is spoken with a machine's init; `machine-init/frames.h` says what each call and frame carries. */
export const CALL = {
  start: 1,
  attach: 2,
  runs: 3,
  signal: 4,
  input: 5,
  closeInput: 6,
  resize: 7,
  stat: 16,
  list: 17,
  read: 18,
  write: 19,
  make: 20,
  move: 21,
  remove: 22,
  watch: 23,
  dial: 32,
  home: 33,
  identify: 34,
  shutdown: 36,
} as const;

export const FRAME = {
  done: 64,
  error: 65,
  ready: 66,
  entry: 67,
  data: 68,
  output: 69,
  exit: 70,
  event: 71,
  run: 72,
} as const;

const HEAD_BYTES = 5;
const MAX_FRAME_BYTES = 1_048_576;
const MAX_REQUEST_BYTES = MAX_FRAME_BYTES - 4_096;
/** The most that one frame of ours carries. */
const MAX_DATA_BYTES = 65_536;
/** Below this one write with a copy is cheaper than two. */
const SMALL_BYTES = 16_384;
/** A machine that has no processor time left may take long; one that says nothing for so long is none any more. */
export const ANSWER_MS = MINUTE;
/** For calls whose work itself may take long. */
export const LONG_ANSWER_MS = 15 * MINUTE;

const BUSY_ATTEMPTS = 250;
const BUSY_STEP_MS = 20;

/** The machine is gone, went away in mid-call, or what came back from it makes no sense. */
export class MachineLost extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'MachineLost';
  }
}

/** The machine's init answered that it cannot be done. */
export class InitError extends Error {
  /** As in `errno(3)`: ENOENT, EISDIR, EACCES, ENOSPC … */
  readonly errno: string;
  /** What of a run's beginnings it is about. */
  readonly where: Where | undefined;

  constructor(errno: string, where?: Where) {
    super(where === undefined ? errno : `${errno} (${where})`);
    this.name = 'InitError';
    this.errno = errno;
    this.where = where;
  }
}

const WHERES = ['cwd', 'user', 'program'] as const;
export type Where = (typeof WHERES)[number];

export const nonsense = (what: string): MachineLost => new MachineLost(`The machine's init answered nonsense: ${what}`);

export type Connect = () => Promise<Duplex>;
export type Frame = { type: number; payload: Buffer };
export type Pair = readonly [key: string, value: string | number];

/** One connection, spoken in frames. */
export type Wire = {
  /** Resolves when the kernel has taken all of it. Throws `MachineLost`. */
  send(type: number, payload?: Uint8Array): Promise<void>;
  /** The next frame, as it stands. Throws `MachineLost` at the end. Only one may wait at a time. */
  next(): Promise<Frame>;
  /** The next frame, of one of these types. Throws the `InitError` that came instead, and then closes. */
  expect(...types: number[]): Promise<Frame>;
  readonly closed: boolean;
  close(): void;
  /** The connection itself, from which nothing that follows has been taken. */
  release(): Duplex;
};

/** Connects and asks. What is sent is whole in one write. */
export async function call(connect: Connect, type: number, pairs: readonly Pair[]): Promise<Wire> {
  const request = encodePairs(pairs);
  const wire = openWire(await connected(connect));
  // A refusal may overtake the request; whoever waits for the answer hears of it.
  wire.send(type, request).catch(() => {});
  return wire;
}

async function connected(connect: Connect): Promise<Duplex> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connect();
    } catch (cause) {
      if (cause instanceof MachineLost) throw cause;
      // More callers at this moment than its backlog takes.
      const isBusy = cause instanceof Error && 'code' in cause && cause.code === 'EAGAIN';
      if (!isBusy || attempt === BUSY_ATTEMPTS) throw new MachineLost('The machine cannot be reached.', { cause });
      await sleep(BUSY_STEP_MS);
    }
  }
}

/** Asks, and waits for the one frame that answers. */
export async function ask(
  connect: Connect,
  type: number,
  pairs: readonly Pair[],
  timeoutMs = ANSWER_MS,
): Promise<Frame> {
  const wire = await call(connect, type, pairs);
  try {
    return await inTime(wire, wire.expect(FRAME.done), timeoutMs);
  } finally {
    wire.close();
  }
}

/** What is answered in time. */
export async function inTime<T>(wire: Wire, answer: Promise<T>, timeoutMs = ANSWER_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MachineLost('The machine does not answer.')), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    wire.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function encodePairs(pairs: readonly Pair[]): Buffer {
  const strings = pairs.flatMap(([key, value]) => [key, String(value)]);
  if (strings.some((text) => text.includes('\0'))) throw new InitError('EINVAL');
  const payload = Buffer.from(strings.map((text) => `${text}\0`).join(''));
  if (payload.length > MAX_REQUEST_BYTES) throw new InitError('E2BIG');
  return payload;
}

/** The strings of a payload, by pairs. */
export function decodePairs(payload: Buffer): [string, string][] {
  const strings = payload.toString('utf8').split('\0');
  if (strings.pop() !== '' || strings.length % 2 !== 0) throw nonsense('strings without an end');
  return Array.from({ length: strings.length / 2 }, (_, index) => [
    strings[2 * index] ?? '',
    strings[2 * index + 1] ?? '',
  ]);
}

/** A number in decimal within bounds. */
export function numberIn(text: string | undefined, least: number, most: number): number {
  const value = Number(text);
  if (text === undefined || !/^-?\d{1,16}$/.test(text) || value < least || value > most)
    throw nonsense(`a number: ${text?.slice(0, 20)}`);
  return value;
}

/** Pieces as large as a frame of ours may be. */
export function* pieces(data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += MAX_DATA_BYTES) yield data.subarray(at, at + MAX_DATA_BYTES);
}

function errorOf(payload: Buffer): InitError {
  const fields = new Map(decodePairs(payload));
  const errno = fields.get('errno') ?? '';
  if (!/^E[A-Z0-9]{1,20}$/.test(errno)) throw nonsense('an error without a name');
  return new InitError(
    errno,
    WHERES.find((where) => where === fields.get('where')),
  );
}

function openWire(socket: Duplex): Wire {
  const held = holdBytes();
  let failure: MachineLost | undefined;
  let wake = () => {};
  const rouse = () => wake();
  const end = (cause?: unknown) => {
    failure ??= new MachineLost('The connection to the machine has ended.', { cause });
    wake();
  };
  socket.on('readable', rouse).on('end', end).on('close', end).on('error', end);

  const next = async (): Promise<Frame> => {
    for (;;) {
      const frame = held.takeFrame();
      if (frame) return frame;
      const chunk = socket.read() as Buffer | null;
      if (chunk) held.add(chunk);
      else if (failure) throw failure;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const expect = async (...types: number[]): Promise<Frame> => {
    try {
      const frame = await next();
      if (types.includes(frame.type)) return frame;
      throw frame.type === FRAME.error ? errorOf(frame.payload) : nonsense(`a frame of type ${frame.type}`);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  };
  return {
    next,
    expect,
    send: (type, payload) => sendFrame(socket, type, payload),
    get closed() {
      return socket.destroyed;
    },
    close: () => {
      socket.destroy();
    },
    release: () => {
      socket.off('readable', rouse);
      const rest = held.takeAll();
      if (rest.length > 0) socket.unshift(rest);
      return socket;
    },
  };
}

function sendFrame(socket: Duplex, type: number, payload: Uint8Array = Buffer.alloc(0)): Promise<void> {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32BE(payload.length);
  head.writeUInt8(type, HEAD_BYTES - 1);
  return new Promise((resolve, reject) => {
    const taken = (cause?: Error | null) =>
      cause ? reject(new MachineLost('The connection to the machine has ended.', { cause })) : resolve();
    if (payload.length <= SMALL_BYTES) {
      socket.write(Buffer.concat([head, payload]), taken);
      return;
    }
    socket.cork();
    socket.write(head);
    socket.write(payload, taken);
    socket.uncork();
  });
}

/** Bytes that have come, until they are whole frames. */
function holdBytes() {
  let chunks: Buffer[] = [];
  let length = 0;
  const takeAll = (): Buffer => {
    const [first] = chunks;
    const all = chunks.length === 1 && first ? first : Buffer.concat(chunks);
    chunks = [];
    length = 0;
    return all;
  };
  const add = (chunk: Buffer) => {
    if (chunk.length === 0) return;
    chunks.push(chunk);
    length += chunk.length;
  };
  /** Bytes that the first frame has to have; its head at least. */
  let wanted = HEAD_BYTES;
  const takeFrame = (): Frame | undefined => {
    while (length >= wanted) {
      const all = takeAll();
      const whole = HEAD_BYTES + all.readUInt32BE();
      if (whole > HEAD_BYTES + MAX_FRAME_BYTES) throw nonsense('a frame without end');
      wanted = all.length >= whole ? HEAD_BYTES : whole;
      add(all.length >= whole ? all.subarray(whole) : all);
      if (all.length >= whole) return { type: all.readUInt8(HEAD_BYTES - 1), payload: all.subarray(HEAD_BYTES, whole) };
    }
    return undefined;
  };
  return { add, takeAll, takeFrame };
}
