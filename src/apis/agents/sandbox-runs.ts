import { z } from 'zod';
import { isPlatformRun, type RunSelector } from '../../domains/machines/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentRun } from './present-sandbox.ts';
import { runEvents } from './run-events.ts';
import { CommandText } from './sandbox-exec.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, Done, Env, EXEC, EXTENSION, LOOK, Path, SANDBOXES, User } from './sandbox-wire.ts';
import { eventStream } from './sse.ts';
import { IdParams, Timestamp } from './wire.ts';

const MAX_TIMEOUT_SECONDS = 86_400;
const MAX_TAG_LENGTH = 64;
const MAX_INPUT_LENGTH = 150_000;
const MAX_TERMINAL_SIDE = 10_000;
/** How long what it printed can be read after its end. */
const KEPT_MS = 10 * MINUTE;
const SIGNALS = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  USR1: 10,
  USR2: 12,
  TERM: 15,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
} as const;
const SIGNAL_NAMES = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];

const Size = z.object({
  cols: z
    .int()
    .min(1)
    .max(MAX_TERMINAL_SIDE)
    .meta({ examples: [80] }),
  rows: z
    .int()
    .min(1)
    .max(MAX_TERMINAL_SIDE)
    .meta({ examples: [24] }),
});
const NewRun = z.object({
  command: CommandText,
  cwd: Path.optional(),
  env: Env.optional(),
  user: User,
  stdin: z.boolean().default(false).meta({ description: 'Whether it will be given input.' }),
  pty: Size.optional().meta({ description: 'Runs it on a terminal of this size.' }),
  tag: z
    .string()
    .min(1)
    .max(MAX_TAG_LENGTH)
    .optional()
    .meta({ examples: ['server'] }),
  timeout: z
    .number()
    .positive()
    .max(MAX_TIMEOUT_SECONDS)
    .optional()
    .meta({ description: 'Seconds after which it is killed; never where left out.', examples: [3600] }),
});
export const RunShown = z.object({
  pid: z.int().meta({ examples: [42] }),
  tag: z.string().nullable(),
  command: z.array(z.string()),
  cwd: z.string(),
  user: z.string(),
  pty: z.boolean(),
  started_at: Timestamp,
});
const RunParams = z.object({ id: z.string(), pid: z.string() });
const OFFSET = digits(Number.MAX_SAFE_INTEGER);
const StreamQuery = z.strictObject({
  stdout: OFFSET.default(0).meta({ description: 'Bytes of it that you have: what comes after them is sent.' }),
  stderr: OFFSET.default(0),
  pty: OFFSET.default(0),
});
const SignalBody = z.object({
  signal: z
    .enum(SIGNAL_NAMES)
    .default('TERM')
    .meta({ examples: ['TERM'] }),
  scope: z
    .enum(['process', 'tree'])
    .default('tree')
    .meta({ description: 'Whether what it started gets the signal too.' }),
});
const InputBody = z.object({
  data: z
    .string()
    .max(MAX_INPUT_LENGTH)
    .default('')
    .meta({ examples: ['yes\n'] }),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
  close: z.boolean().default(false).meta({ description: 'Whether this is the end of its input.' }),
});

/** Commands that run on by themselves. */
export const sandboxRunRoutes = (domains: SandboxDomains): Route[] => [
  startRoute(domains),
  listRoute(domains),
  streamRoute(domains),
  ...handRoutes(domains),
];

const startRoute = ({ sandboxes, machines }: SandboxDomains): Route =>
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/runs',
    tag: SANDBOXES,
    summary: 'Start a command in the background',
    description: `It runs on whoever listens. What it printed last can be read until ten minutes after its end. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    idempotent: true,
    params: IdParams,
    body: NewRun,
    fails: ['conflict'],
    replies: {
      201: {
        description: 'It runs',
        schema: z.object({ pid: z.int().meta({ examples: [42] }), stream_url: z.string() }),
      },
    },
    handle: async (op, { params, body }) => {
      const sandbox = await sandboxes.working(op, params.id);
      const run = await machines.run(op, sandbox.machineId, {
        ...body,
        env: { ...sandbox.env, ...body.env },
        timeoutMs: body.timeout === undefined ? undefined : body.timeout * SECOND,
        onDisconnect: 'keep',
        keepMs: KEPT_MS,
      });
      run.close();
      return created({ pid: run.pid, stream_url: `/v1/sandboxes/${sandbox.id}/runs/${run.pid}/stream` });
    },
  });

const listRoute = ({ sandboxes, machines }: SandboxDomains): Route =>
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/runs',
    tag: SANDBOXES,
    summary: 'List commands that run',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    fails: ['conflict'],
    replies: { 200: { description: 'The commands', schema: z.object({ runs: z.array(RunShown) }) } },
    handle: async (op, { params }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      // Who ends all that is here must not end what lets him in by SSH.
      const own = (await machines.runs(op, machineId)).filter((run) => !isPlatformRun(run));
      return ok({ runs: own.map(presentRun) });
    },
  });

const streamRoute = ({ sandboxes, machines }: SandboxDomains): Route =>
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/runs/:pid/stream',
    tag: SANDBOXES,
    summary: 'Read what a command prints, as it prints it',
    description: `Server-sent events: \`stdout\`, \`stderr\` or \`pty\` with \`{"text", "next"}\` (\`base64\` in place of \`text\` where it is no UTF-8), and at its end \`exit\` with \`{"exit_code", "signal", "timed_out"}\`. After a broken connection go on by passing the last \`next\` of each stream. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: RunParams,
    query: StreamQuery,
    fails: ['conflict'],
    replies: { 200: { description: 'The events', schema: z.string(), contentType: 'text/event-stream' } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const run = await machines.attach(op, machineId, selectorOf(params.pid), query);
      return eventStream(runEvents(run), () => run.close());
    },
  });

const handRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/runs/:pid/signal',
    tag: SANDBOXES,
    summary: 'Send a signal to a command',
    description: EXTENSION,
    access: 'account',
    scopes: EXEC,
    params: RunParams,
    body: SignalBody,
    fails: ['conflict'],
    replies: { 200: { description: 'It is sent', schema: Done } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      await machines.signalRun(op, machineId, selectorOf(params.pid), SIGNALS[body.signal], body.scope);
      return ok({ success: true, message: 'Signal sent' });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/runs/:pid/stdin',
    tag: SANDBOXES,
    summary: 'Give a command input',
    description: EXTENSION,
    access: 'account',
    scopes: EXEC,
    params: RunParams,
    body: InputBody,
    fails: ['conflict'],
    replies: { 200: { description: 'It is given', schema: Done } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const selector = selectorOf(params.pid);
      const data = Buffer.from(body.data, body.encoding);
      if (data.length > 0) await machines.inputRun(op, machineId, selector, data);
      if (body.close) await machines.closeRunInput(op, machineId, selector);
      return ok({ success: true, message: 'Input given' });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/runs/:pid/resize',
    tag: SANDBOXES,
    summary: 'Resize the terminal of a command',
    description: EXTENSION,
    access: 'account',
    scopes: EXEC,
    params: RunParams,
    body: Size,
    fails: ['conflict'],
    replies: { 200: { description: 'It has this size', schema: Done } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      await machines.resizeRun(op, machineId, selectorOf(params.pid), body);
      return ok({ success: true, message: 'Resized' });
    },
  }),
];

function selectorOf(pid: string): RunSelector {
  if (!/^\d{1,7}$/.test(pid)) throw new AppError('not_found', 'No such process');
  return { pid: Number(pid) };
}
