import { z } from 'zod';
import type { ExecOutcome } from '../../domains/machines/index.ts';
import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { Env, EXEC, EXTENSION, Path, SANDBOXES, User } from './sandbox-wire.ts';
import { IdParams } from './wire.ts';

const MAX_COMMAND_LENGTH = 100_000;
const MAX_CODE_LENGTH = 150_000;
const MAX_INPUT_LENGTH = 150_000;
const DEFAULT_TIMEOUT_SECONDS = 300;
const MAX_TIMEOUT_SECONDS = 3_600;
const MAX_OUTPUT_BYTES = 1_000_000;
/** As `timeout` of the shell says it. */
const TIMED_OUT = 124;

const Timeout = z
  .number()
  .positive()
  .max(MAX_TIMEOUT_SECONDS)
  .default(DEFAULT_TIMEOUT_SECONDS)
  .meta({ description: 'Seconds after which it and all that it started is killed.', examples: [300] });
export const CommandText = z
  .string()
  .min(1)
  .max(MAX_COMMAND_LENGTH)
  .meta({ description: 'Run by bash.', examples: ['echo hello'] });
const Surroundings = z.object({
  cwd: Path.optional().meta({ description: `Where it runs; the home directory where left out. ${EXTENSION}` }),
  env: Env.optional().meta({ description: EXTENSION }),
  user: User,
});

const ExecBody = Surroundings.extend({
  command: CommandText,
  timeout: Timeout,
  stdin: z
    .string()
    .max(MAX_INPUT_LENGTH)
    .optional()
    .meta({ description: `What it reads. ${EXTENSION}` }),
});
const ExitCode = z
  .int()
  .meta({ description: '124 where it was killed at its timeout, 128 and the signal where by one.' });
const Output = z.object({
  stdout: z.string().meta({ examples: ['hello\n'] }),
  stderr: z.string(),
  exitCode: ExitCode,
  exit_code: ExitCode,
  timed_out: z.boolean(),
  stdout_truncated: z.boolean().meta({ description: `Whether it printed more than ${MAX_OUTPUT_BYTES} bytes.` }),
  stderr_truncated: z.boolean(),
  duration_ms: z.number(),
});

/** Each reads its program from its input. */
const INTERPRETERS = {
  python: ['python3', '-'],
  python3: ['python3', '-'],
  javascript: ['node', '-'],
  js: ['node', '-'],
  node: ['node', '-'],
  bash: ['bash', '-s'],
  sh: ['sh', '-s'],
} as const;
const CodeBody = Surroundings.extend({
  code: z
    .string()
    .min(1)
    .max(MAX_CODE_LENGTH)
    .meta({ examples: ['print(6 * 7)'] }),
  language: z
    .enum(['python', 'python3', 'javascript', 'js', 'node', 'bash', 'sh'])
    .default('python')
    .meta({ examples: ['python'] }),
  timeout: Timeout,
});
const CodeOutput = Output.extend({
  result: z.string().meta({
    description: 'What it printed, with what it complained of where it failed.',
    examples: ['42\n'],
  }),
});

export const sandboxExecRoutes = ({ sandboxes }: SandboxDomains): Route[] => {
  /** A command in the sandbox's own surroundings, to its end. */
  const run = async (
    op: AccountOp,
    id: string,
    command: string | readonly string[],
    { env, cwd, user, timeout, stdin }: z.output<typeof Surroundings> & { timeout: number; stdin?: string | undefined },
  ): Promise<z.output<typeof Output>> => {
    const limits = { timeoutMs: timeout * SECOND, maxOutputBytes: MAX_OUTPUT_BYTES };
    return outputOf(await sandboxes.exec(op, id, { command, env, cwd, user, stdin, ...limits }));
  };
  return [
    route({
      method: 'POST',
      path: '/v1/sandboxes/:id/exec',
      tag: SANDBOXES,
      summary: 'Run a command',
      description: 'And wait for its end. For what runs on, see `runs`.',
      access: 'account',
      scopes: EXEC,
      idempotent: true,
      params: IdParams,
      body: ExecBody,
      fails: ['conflict'],
      replies: { 200: { description: 'It has ended', schema: Output } },
      handle: async (op, { params, body }) => ok(await run(op, params.id, body.command, body)),
    }),
    route({
      method: 'POST',
      path: '/v1/sandboxes/:id/code',
      tag: SANDBOXES,
      summary: 'Run a piece of code',
      access: 'account',
      scopes: EXEC,
      idempotent: true,
      params: IdParams,
      body: CodeBody,
      fails: ['conflict'],
      replies: { 200: { description: 'It has ended', schema: CodeOutput } },
      handle: async (op, { params, body }) => {
        const output = await run(op, params.id, INTERPRETERS[body.language], { ...body, stdin: body.code });
        const result = output.exitCode === 0 ? output.stdout : output.stdout + output.stderr;
        return ok({ result, ...output });
      },
    }),
  ];
};

function outputOf(outcome: ExecOutcome): z.output<typeof Output> {
  if (outcome.kind === 'lost') throw new AppError('conflict', outcome.reason);
  const exitCode = outcome.kind === 'exited' ? outcome.exitCode : TIMED_OUT;
  return {
    stdout: outcome.stdout.toString(),
    stderr: outcome.stderr.toString(),
    exitCode,
    exit_code: exitCode,
    timed_out: outcome.kind === 'timeout',
    stdout_truncated: outcome.stdoutTruncated,
    stderr_truncated: outcome.stderrTruncated,
    duration_ms: outcome.durationMs,
  };
}
