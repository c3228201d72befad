import type { TaskId } from '../../kernel/ids.ts';
import { usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { AssistantMessage, FinishReason, Json, ToolCall } from '../models/index.ts';
import type { Holding } from './holding-store.ts';
import type { ModelReply, Step, StepState } from './step.ts';

type StepRow = {
  number: number;
  kind: 'model' | 'tool';
  state: StepState;
  started_at: Date;
  finished_at: Date | null;
  message: AssistantMessage | null;
  finish_reason: FinishReason | null;
  input_tokens: number | null;
  cached_input_tokens: number | null;
  cache_write_tokens: number | null;
  output_tokens: number | null;
  cost_micros: bigint | null;
  call_id: string | null;
  tool: string | null;
  input: Json;
  output: Json;
  exit_code: number | null;
};

const COLUMNS = `number, kind, state, started_at, finished_at, message, finish_reason, input_tokens, cached_input_tokens,
  cache_write_tokens, output_tokens, cost_micros, call_id, tool, input, output, exit_code`;

function stepOf(row: StepRow): Step {
  const { number, state } = row;
  const common = { number, state, startedAt: row.started_at, finishedAt: row.finished_at ?? undefined };
  if (row.kind === 'model') return { ...common, kind: 'model', reply: replyOf(row) };
  const call = { id: row.call_id ?? '', name: row.tool ?? '', input: row.input };
  return { ...common, kind: 'tool', call, output: row.output, exitCode: row.exit_code ?? undefined };
}

function replyOf(row: StepRow): ModelReply | undefined {
  if (row.message === null) return undefined;
  return {
    message: row.message,
    finishReason: row.finish_reason ?? 'stop',
    usage: {
      inputTokens: row.input_tokens ?? 0,
      cachedInputTokens: row.cached_input_tokens ?? 0,
      cacheWriteTokens: row.cache_write_tokens ?? 0,
      outputTokens: row.output_tokens ?? 0,
    },
    cost: usd(row.cost_micros ?? 0n),
  };
}

/** Steps after a number, oldest first. */
export const stepsAfter = async (db: Db, taskId: TaskId, number: number, limit?: number): Promise<Step[]> =>
  (
    await db.query<StepRow>(
      `select ${COLUMNS} from task_steps where task_id = $1 and number > $2 order by number limit $3`,
      [taskId, number, limit ?? null],
    )
  ).map(stepOf);

/** Locks the task if it is still the holder's and running, so that what follows in the transaction stands or falls with that. */
const whileHeld = `select id from tasks where id = $1 and owner = $2 and status = 'running' for update`;

/** Notes that a step begins. False where the task is not the holder's any more. */
export async function beginStep(
  tx: Tx,
  { taskId, owner }: Holding,
  number: number,
  now: Date,
  call?: ToolCall,
): Promise<boolean> {
  const rows = await tx.query(
    `with held as (${whileHeld})
     insert into task_steps (task_id, number, kind, state, started_at, call_id, tool, input)
     select id, $3, $4, 'started', $5, $6, $7, $8 from held
     returning 1`,
    [
      taskId,
      owner,
      number,
      call ? 'tool' : 'model',
      now,
      call?.id ?? null,
      call?.name ?? null,
      call ? JSON.stringify(call.input) : null,
    ],
  );
  return rows.length === 1;
}

/** Notes the model's answer and its cost, together. */
export async function endModelStep(
  tx: Tx,
  { taskId, owner }: Holding,
  number: number,
  now: Date,
  reply: ModelReply & { text: string },
): Promise<boolean> {
  const { usage } = reply;
  const rows = await tx.query(
    `with held as (
       update tasks set inference_micros = inference_micros + $11, partial_text = coalesce(nullif($12, ''), partial_text)
        where id = $1 and owner = $2 and status = 'running'
       returning id)
     update task_steps s
        set state = 'finished', finished_at = $4, message = $5, finish_reason = $6, input_tokens = $7,
            cached_input_tokens = $8, cache_write_tokens = $9, output_tokens = $10, cost_micros = $11
       from held
      where s.task_id = held.id and s.number = $3 and s.state = 'started'
      returning 1`,
    [
      taskId,
      owner,
      number,
      now,
      JSON.stringify(reply.message),
      reply.finishReason,
      usage.inputTokens,
      usage.cachedInputTokens,
      usage.cacheWriteTokens,
      usage.outputTokens,
      reply.cost,
      reply.text,
    ],
  );
  return rows.length === 1;
}

/** Notes what a tool answered. */
export async function endToolStep(
  tx: Tx,
  { taskId, owner }: Holding,
  number: number,
  now: Date,
  answer: { output: Json; exitCode?: number | undefined },
): Promise<boolean> {
  const rows = await tx.query(
    `with held as (${whileHeld})
     update task_steps s set state = 'finished', finished_at = $4, output = $5, exit_code = $6
       from held
      where s.task_id = held.id and s.number = $3 and s.state = 'started'
      returning 1`,
    [taskId, owner, number, now, JSON.stringify(answer.output), answer.exitCode ?? null],
  );
  return rows.length === 1;
}

/** Notes what a tool that is under way has said so far. */
export async function noteProgress(tx: Tx, { taskId, owner }: Holding, number: number, output: Json): Promise<void> {
  await tx.query(
    `with held as (${whileHeld})
     update task_steps s set output = $4 from held where s.task_id = held.id and s.number = $3 and s.state = 'started'`,
    [taskId, owner, number, JSON.stringify(output)],
  );
}

/** Closes the step that was under way when its worker went. What a tool had said by then stays, else `output` stands. */
export async function interruptSteps(tx: Tx, taskId: TaskId, now: Date, output: Json): Promise<void> {
  await tx.query(
    `update task_steps
        set state = 'interrupted', finished_at = $2, output = case when kind = 'tool' then coalesce(output, $3::json) end
      where task_id = $1 and state = 'started'`,
    [taskId, now, JSON.stringify(output)],
  );
}
