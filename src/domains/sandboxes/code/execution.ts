import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import type { Op } from '../../../kernel/op.ts';
import type { RunStream } from '../../machines/index.ts';
import { steadfast } from '../world.ts';
import { joinContext, tagOf, type CodeMachines, type CodePlace } from './contexts.ts';
import { MAX_CODE } from './kernels.ts';

/** What is to be run in a context. */
export type Cell = { contextId: string; code: string; env: Readonly<Record<string, string>> };

const Shown = z.union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional();
const Text = z.string();
/** What a context says. It stands in a tenant's machine: everything else is passed over. */
const News = z.discriminatedUnion('type', [
  z.object({ type: z.literal('started'), execution_count: z.int().min(0) }),
  z.object({ type: z.literal('stdout'), text: Text }),
  z.object({ type: z.literal('stderr'), text: Text }),
  z.object({
    type: z.literal('result'),
    is_main_result: z.boolean(),
    text: Shown,
    html: Shown,
    markdown: Shown,
    svg: Shown,
    png: Shown,
    jpeg: Shown,
    pdf: Shown,
    latex: Shown,
    json: Shown,
    javascript: Shown,
  }),
  z.object({ type: z.literal('error'), name: Text, value: Text, traceback: Text }),
  z.object({ type: z.literal('end') }),
]);
export type ExecutionNews = Exclude<z.output<typeof News>, { type: 'end' }>;

/** One execution under way: what it tells until it has ended, and how to have it end. */
export type Execution = {
  news: AsyncIterable<ExecutionNews>;
  /** Nobody waits for it any more: interrupts it where it has not ended. The context lives on. */
  stop(): void;
};

/** Told how many bytes of lines that are not whole are in memory; throws where that is too much. */
export type Holding = (bytes: number) => void;

/** A line of a context: a result with all its escapes. More is nonsense. */
const MAX_LINE_BYTES = 32 * 1_024 * 1_024;
/** All lines that one execution is read for. */
const MAX_READ_BYTES = 512 * 1_024 * 1_024;
/** Of code in one piece: with all its escapes it fits into one frame of a run's input, which no other comes into. */
const PIECE_LENGTH = 8_000;
const MAX_ENV_LENGTH = 8_000;

/**
 * Has a cell run in its context, after those that wait there already. Throws `not_found` where the context is not
 * there, `too_large` for what is too long.
 */
export async function execute(
  machines: CodeMachines,
  op: Op,
  place: CodePlace,
  { contextId, code, env }: Cell,
  holding: Holding = () => {},
): Promise<Execution> {
  if (code.length > MAX_CODE) throw new AppError('too_large', `code has at most ${MAX_CODE} characters`);
  if (JSON.stringify(env).length > MAX_ENV_LENGTH)
    throw new AppError('too_large', `env_vars have at most ${MAX_ENV_LENGTH} characters`);
  const id = randomUUID();
  const { machineId } = place;
  const send = (sender: Op, message: object) =>
    machines.inputRun(
      sender,
      machineId,
      { tag: tagOf(contextId) },
      Buffer.from(`${JSON.stringify({ id, ...message })}\n`),
    );
  // Where it cannot be told it is gone with its machine.
  const sendStop = () => send(steadfast(op), { stop: true }).catch(() => {});
  const ask = async () => {
    for (const part of piecesOf(code)) await send(op, { part });
    await send(op, { run: env });
  };
  const run = await joinContext(machines, op, place, contextId, ask).catch(async (error: unknown) => {
    // The caller may have gone after all was said.
    if (op.signal.aborted) await sendStop();
    throw error;
  });
  let isOver = false;
  const stop = () => {
    if (isOver) return;
    isOver = true;
    void sendStop().finally(() => run.close());
  };
  op.signal.addEventListener('abort', stop, { once: true });
  const news = async function* (): AsyncGenerator<ExecutionNews> {
    try {
      yield* newsOf(run, id, holding);
      isOver = true;
    } finally {
      holding(0);
      op.signal.removeEventListener('abort', stop);
      if (isOver) run.close();
      else stop();
    }
  };
  return { news: news(), stop };
}

const piecesOf = (code: string): string[] =>
  Array.from({ length: Math.ceil(code.length / PIECE_LENGTH) }, (_, index) =>
    code.slice(index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH),
  );

/** What a run tells of one execution until it has ended, or the context has. */
async function* newsOf(run: RunStream, id: string, holding: Holding): AsyncGenerator<ExecutionNews> {
  const lines = createLines(holding);
  for await (const event of run) {
    if (event.kind === 'exit') return yield failure('ContextEnded', 'The context ended while the code ran.');
    if (event.stream !== 'stdout') continue;
    for (const line of lines.add(event.data)) {
      const news = parsed(line, id);
      if (news?.type === 'end') return;
      if (news) yield news;
    }
    if (lines.hasOverflowed())
      return yield failure('TooMuchOutput', 'The context wrote more than anybody would want to read.');
  }
}

const failure = (name: string, value: string): ExecutionNews => ({
  type: 'error',
  name,
  value,
  traceback: `${name}: ${value}`,
});

function parsed(line: Buffer, id: string): z.output<typeof News> | undefined {
  // Most lines that are not ours are another execution's: they need not be understood.
  if (!line.includes(id)) return undefined;
  try {
    const message: unknown = JSON.parse(line.toString());
    const isOurs = typeof message === 'object' && message !== null && 'id' in message && message.id === id;
    return isOurs ? News.safeParse(message).data : undefined;
  } catch {
    return undefined;
  }
}

const LINE_FEED = 10;

/** Bytes as they come, as whole lines. */
function createLines(holding: Holding) {
  let chunks: Buffer[] = [];
  let length = 0;
  let total = 0;
  return {
    hasOverflowed: () => length > MAX_LINE_BYTES || total > MAX_READ_BYTES,
    *add(data: Buffer): Generator<Buffer> {
      total += data.length;
      let from = 0;
      for (let end; (end = data.indexOf(LINE_FEED, from)) !== -1; from = end + 1) {
        const line = Buffer.concat([...chunks, data.subarray(from, end)]);
        [chunks, length] = [[], 0];
        yield line;
      }
      if (from === data.length) return holding(length);
      chunks.push(data.subarray(from));
      length += data.length - from;
      holding(length);
    },
  };
}
