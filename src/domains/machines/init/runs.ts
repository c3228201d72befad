import {
  ask,
  call,
  CALL,
  decodePairs,
  FRAME,
  inTime,
  LONG_ANSWER_MS,
  nonsense,
  numberIn,
  pieces,
  type Connect,
  type Frame,
  type Pair,
  type Wire,
} from './protocol.ts';

export type RunRequest = {
  argv: readonly string[];
  cwd: string;
  /** The whole environment. */
  env: Readonly<Record<string, string>>;
  /** A name of the machine's own /etc/passwd, or `root`. */
  user: string;
  /** Without, the command reads an end of file. */
  stdin: boolean;
  /** A terminal; both output streams then come as `pty`, and there is always input. */
  pty?: TerminalSize | undefined;
  tag?: string | undefined;
  /** Kept by the machine itself: the whole tree of processes dies, also when the server is gone. */
  timeoutMs?: number | undefined;
  /** What becomes of the tree when the caller's connection drops. */
  onDisconnect: 'kill' | 'keep';
  /** After its end, output and exit can still be joined for this long. */
  keepMs?: number | undefined;
};

export type TerminalSize = { cols: number; rows: number };
export type RunSelector = { pid: number } | { tag: string };
export type RunInfo = {
  pid: number;
  tag: string | undefined;
  argv: string[];
  cwd: string;
  env: Record<string, string>;
  pty: boolean;
  startedAt: Date;
  user: string;
};

/** Exactly one of `exitCode` and `signal` is there. */
export type RunExit = { exitCode: number | undefined; signal: number | undefined; timedOut: boolean };
const STREAMS = ['stdout', 'stderr', 'pty'] as const;
export type RunOutputStream = (typeof STREAMS)[number];
export type RunOffsets = Record<RunOutputStream, number>;
export type RunEvent =
  /** `offset`: bytes of that stream before this chunk. */
  | { kind: 'output'; stream: RunOutputStream; data: Buffer; offset: number }
  /** The last; all output precedes it. */
  | { kind: 'exit'; exit: RunExit };

export type RunStream = AsyncIterable<RunEvent> & {
  /** As the machine's own processes see it. */
  readonly pid: number;
  /** Resolves when passed on. What comes after the command's end is dropped. */
  write(data: Uint8Array): Promise<void>;
  closeInput(): Promise<void>;
  /** Lets go; what happens to the run was said at its start. A stream that joined later never ends it. */
  close(): void;
};

const MAX_PID = 2 ** 31 - 1;
const MAX_SIGNAL = 64;
const MAX_EXIT_CODE = 255;
const OUTPUT_HEAD_BYTES = 9;
const MAX_RUNS = 4_096;
const MAX_RUNS_BYTES = 16_777_216;

export async function start(connect: Connect, request: RunRequest): Promise<RunStream> {
  return joined(await call(connect, CALL.start, startPairs(request)));
}

/** Without offsets from now on. What is no longer kept is passed over: see the first event's offset. */
export async function attach(connect: Connect, selector: RunSelector, from?: RunOffsets): Promise<RunStream> {
  const offsets = from === undefined ? [] : STREAMS.map((stream): Pair => [stream, from[stream]]);
  return joined(await call(connect, CALL.attach, [...selectorPairs(selector), ...offsets]));
}

/** Those that have not ended, the newest first. `hold` as for a list of files. */
export async function runs(connect: Connect, hold?: (bytes: number) => void): Promise<RunInfo[]> {
  const wire = await call(connect, CALL.runs, []);
  try {
    const found: RunInfo[] = [];
    for (let bytes = 0; ;) {
      const frame = await inTime(wire, wire.expect(FRAME.run, FRAME.done));
      if (frame.type === FRAME.done) return found;
      bytes += frame.payload.length;
      hold?.(frame.payload.length);
      if (found.push(runOf(frame)) > MAX_RUNS || bytes > MAX_RUNS_BYTES) throw nonsense('too many runs');
    }
  } finally {
    wire.close();
  }
}

export async function signal(
  connect: Connect,
  selector: RunSelector,
  number: number,
  scope: 'process' | 'tree',
): Promise<void> {
  await ask(connect, CALL.signal, [...selectorPairs(selector), ['signal', number], ['scope', scope]]);
}

/** Resolves when the command's input has taken all of it. */
export async function input(connect: Connect, selector: RunSelector, data: Uint8Array): Promise<void> {
  const wire = await call(connect, CALL.input, selectorPairs(selector));
  try {
    await inTime(wire, wire.expect(FRAME.ready));
    const taken = inTime(wire, wire.expect(FRAME.done), LONG_ANSWER_MS);
    const sent = sendAll(wire, data);
    // Where it is refused half-way, the refusal says more than that the rest could not be sent.
    sent.catch(() => {});
    await taken;
  } finally {
    wire.close();
  }
}

async function sendAll(wire: Wire, data: Uint8Array): Promise<void> {
  for (const piece of pieces(data)) await wire.send(FRAME.data, piece);
  await wire.send(FRAME.done);
}

export async function closeInput(connect: Connect, selector: RunSelector): Promise<void> {
  await ask(connect, CALL.closeInput, selectorPairs(selector));
}

export async function resize(connect: Connect, selector: RunSelector, size: TerminalSize): Promise<void> {
  await ask(connect, CALL.resize, [...selectorPairs(selector), ...sizePairs(size)]);
}

const sizePairs = ({ cols, rows }: TerminalSize): Pair[] => [
  ['cols', cols],
  ['rows', rows],
];

const selectorPairs = (selector: RunSelector): Pair[] =>
  'pid' in selector ? [['pid', selector.pid]] : [['tag', selector.tag]];

const startPairs = (request: RunRequest): Pair[] => [
  ...request.argv.map((argument): Pair => ['arg', argument]),
  ...Object.entries(request.env).map(([name, value]): Pair => ['env', `${name}=${value}`]),
  ['cwd', request.cwd],
  ['user', request.user],
  ['stdin', request.stdin ? 1 : 0],
  ['onDisconnect', request.onDisconnect],
  ...(request.pty === undefined ? [] : sizePairs(request.pty)),
  ...given('tag', request.tag),
  ...given('timeoutMs', wholeMs(request.timeoutMs)),
  ...given('keepMs', wholeMs(request.keepMs)),
];

const given = (key: string, value: string | number | undefined): Pair[] => (value === undefined ? [] : [[key, value]]);
const wholeMs = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.ceil(value));

async function joined(wire: Wire): Promise<RunStream> {
  const { payload } = await inTime(wire, wire.expect(FRAME.done));
  const pid = numberIn(new Map(decodePairs(payload)).get('pid'), 1, MAX_PID);
  let isOver = false;
  const send = async (type: number, data?: Uint8Array) => {
    if (isOver) return;
    await wire.send(type, data).catch((error: unknown) => {
      if (!isOver) throw error;
    });
  };
  const next = async (): Promise<IteratorResult<RunEvent, undefined>> => {
    if (isOver) return { done: true, value: undefined };
    const frame = await wire.expect(FRAME.output, FRAME.exit).catch((error: unknown) => {
      if (!isOver) throw error;
    });
    if (!frame) return { done: true, value: undefined };
    if (frame.type === FRAME.output) return { done: false, value: outputOf(frame) };
    const exit = exitOf(frame);
    isOver = true;
    wire.close();
    return { done: false, value: { kind: 'exit', exit } };
  };
  return {
    pid,
    write: async (data) => {
      for (const piece of pieces(data)) await send(FRAME.data, piece);
    },
    closeInput: () => send(FRAME.done),
    close: () => {
      isOver = true;
      wire.close();
    },
    // Without a `return`: whoever leaves a loop over the events may go on with another.
    [Symbol.asyncIterator]: () => ({ next }),
  };
}

function outputOf({ payload }: Frame): RunEvent {
  const stream = STREAMS[payload[0] ?? STREAMS.length];
  if (payload.length < OUTPUT_HEAD_BYTES || stream === undefined) throw nonsense('output of no stream');
  const offset = Number(payload.readBigUInt64BE(1));
  if (!Number.isSafeInteger(offset)) throw nonsense('an offset');
  return { kind: 'output', stream, data: payload.subarray(OUTPUT_HEAD_BYTES), offset };
}

function exitOf({ payload }: Frame): RunExit {
  const fields = new Map(decodePairs(payload));
  const [code, ended, timedOut] = [fields.get('code'), fields.get('signal'), fields.get('timedOut') === '1'];
  if (code !== undefined) return { exitCode: numberIn(code, 0, MAX_EXIT_CODE), signal: undefined, timedOut };
  return { exitCode: undefined, signal: numberIn(ended, 1, MAX_SIGNAL), timedOut };
}

function runOf({ payload }: Frame): RunInfo {
  const pairs = decodePairs(payload);
  const fields = new Map(pairs);
  const all = (wanted: string) => pairs.flatMap(([key, value]) => (key === wanted ? [value] : []));
  return {
    pid: numberIn(fields.get('pid'), 1, MAX_PID),
    tag: fields.get('tag'),
    argv: all('arg'),
    cwd: fields.get('cwd') ?? '/',
    env: Object.fromEntries(all('env').map((text) => splitAt(text, '='))),
    pty: fields.has('cols'),
    startedAt: new Date(numberIn(fields.get('startedAt'), 0, 8.64e15)),
    user: fields.get('user') ?? '',
  };
}

/** What stands before and after the first `separator`. */
export function splitAt(text: string, separator: string): [string, string] {
  const [before = ''] = text.split(separator, 1);
  return [before, text.slice(before.length + separator.length)];
}
