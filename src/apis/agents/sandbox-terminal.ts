import { z } from 'zod';
import type { Machines, RunStream } from '../../domains/machines/index.ts';
import type { Sandbox } from '../../domains/sandboxes/index.ts';
import { AppError, isAppError } from '../../kernel/errors.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { route, type Channel, type Route } from '../contract.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, EXEC, EXTENSION, flag, Path, SANDBOXES, User } from './sandbox-wire.ts';
import { IdParams } from './wire.ts';

const MAX_TERMINAL_SIDE = 10_000;
const MAX_PID = 4_194_304;
/** How long what it printed can be read after its end. */
const KEPT_MS = 10 * MINUTE;
const SHELL = ['/bin/bash', '-i', '-l'];
const ENDED = 1_000;
const REFUSED = 1_008;

const side = (fallback: number) => digits(MAX_TERMINAL_SIDE).pipe(z.int().min(1)).default(fallback);
const TerminalQuery = z.strictObject({
  cols: side(80),
  rows: side(24),
  user: User,
  cwd: Path.optional(),
  keep: flag.optional().meta({ description: 'Whether the shell runs on when the connection breaks.' }),
  pid: digits(MAX_PID)
    .optional()
    .meta({ description: 'Joins a command that has a terminal, in place of a new shell.' }),
  pty: digits(Number.MAX_SAFE_INTEGER)
    .default(0)
    .meta({ description: 'Bytes of its output that you have: what comes after them is sent.' }),
});

/** What a client says in text frames. */
const Control = z.discriminatedUnion('type', [
  z.object({ type: z.literal('input'), data: z.string() }),
  z.object({
    type: z.literal('resize'),
    cols: z.int().min(1).max(MAX_TERMINAL_SIDE),
    rows: z.int().min(1).max(MAX_TERMINAL_SIDE),
  }),
]);

export const sandboxTerminalRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/terminal',
    tag: SANDBOXES,
    summary: 'Open a terminal',
    description: `A WebSocket. Binary frames are what is typed and what is shown. Text frames are JSON: the first one from here is \`{"type":"start","pid"}\`, the last one \`{"type":"exit","exit_code","signal"}\`; from you \`{"type":"resize","cols","rows"}\` and \`{"type":"input","data"}\`. A browser brings its key as the protocol \`bearer.KEY\`. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    query: TerminalQuery,
    upgrades: true,
    fails: ['conflict', 'at_capacity'],
    replies: { 101: { description: 'The WebSocket', schema: z.unknown() } },
    handle: async (op, { params, query }) => {
      const sandbox = await sandboxes.working(op, params.id);
      const upgrade = (channel: Channel) => serveTerminal(machines, op, { sandbox, query, channel });
      return { status: 101, body: undefined, upgrade };
    },
  }),
];

type Visit = { sandbox: Sandbox; query: z.output<typeof TerminalQuery>; channel: Channel };

/** Joins the two, until one of them ends. */
async function serveTerminal(machines: Machines, op: AccountOp, { sandbox, query, channel }: Visit): Promise<void> {
  const gone = new AbortController();
  channel.onClose(() => gone.abort());
  const wanted = { ...op, signal: gone.signal };
  try {
    const run = await runOf(machines, wanted, sandbox, query);
    gone.signal.addEventListener('abort', () => run.close());
    await channel.send(JSON.stringify({ type: 'start', pid: run.pid }));
    channel.onMessage((data, kind) => take(machines, wanted, sandbox, run, data, kind).catch(unheard(channel)));
    await show(run, channel);
  } catch (error) {
    if (!gone.signal.aborted) unheard(channel)(error);
  }
}

function runOf(machines: Machines, op: Op, { machineId, env }: Sandbox, query: Visit['query']): Promise<RunStream> {
  const { pid, pty, cols, rows, user, cwd, keep } = query;
  if (pid !== undefined) return machines.attach(op, machineId, { pid }, { stdout: 0, stderr: 0, pty });
  return machines.run(op, machineId, {
    command: SHELL,
    env,
    user,
    cwd,
    stdin: true,
    pty: { cols, rows },
    onDisconnect: keep ? 'keep' : 'kill',
    ...(keep && { keepMs: KEPT_MS }),
  });
}

async function show(run: RunStream, channel: Channel): Promise<void> {
  for await (const event of run) {
    if (event.kind === 'output') {
      await channel.send(event.data);
      continue;
    }
    const { exitCode, signal } = event.exit;
    await channel.send(JSON.stringify({ type: 'exit', exit_code: exitCode ?? null, signal: signal ?? null }));
    channel.close(ENDED, 'The command has ended');
  }
}

async function take(
  machines: Machines,
  op: Op,
  { machineId }: Sandbox,
  run: RunStream,
  data: Buffer,
  kind: 'text' | 'binary',
): Promise<void> {
  if (kind === 'binary') return run.write(data);
  const said = controlOf(data);
  if (said.type === 'input') return run.write(Buffer.from(said.data));
  await machines.resizeRun(op, machineId, { pid: run.pid }, { cols: said.cols, rows: said.rows });
}

function controlOf(data: Buffer): z.output<typeof Control> {
  const parsed = Control.safeParse(jsonOf(data.toString()));
  if (!parsed.success) throw new AppError('invalid', 'A text frame is {"type":"input"|"resize"} in JSON');
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // which is no control either, and is told as that
  }
}

/** What went wrong, in the words of the last frame. What is a defect of ours rises to whoever gave us the channel. */
const unheard =
  (channel: Channel) =>
  (error: unknown): void => {
    if (!isAppError(error)) throw error;
    channel.close(REFUSED, error.message);
  };
