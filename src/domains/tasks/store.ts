import type { AccountId, MachineId, TaskId, TransferId } from '../../kernel/ids.ts';
import { usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Json } from '../models/index.ts';
import { costOf } from './cost.ts';
import {
  LISTED_PROMPT_CHARACTERS,
  type EndStatus,
  type ErrorCode,
  type ListedTask,
  type Result,
  type Status,
  type Task,
} from './task.ts';

type TaskRow = {
  id: TaskId;
  account_id: AccountId;
  status: Status;
  prompt: string;
  model_slug: string;
  budget_cents: number;
  timeout_seconds: number;
  webhook_url: string | null;
  fingerprint: Buffer;
  hold_id: TransferId;
  created_at: Date;
  started_at: Date | null;
  running_at: Date | null;
  completed_at: Date | null;
  machine_id: MachineId | null;
  machine_tries: number;
  machine_failures: number;
  recoveries: number;
  beat_at: Date | null;
  idle_ms: bigint;
  inference_micros: bigint;
  partial_text: string | null;
  result_text: string | null;
  result_json: Json;
  error_code: ErrorCode | null;
  error_message: string | null;
  compute_seconds: number | null;
  spent_cents: number | null;
};

const SMALL_COLUMNS = `id, account_id, status, model_slug, budget_cents, timeout_seconds, webhook_url, fingerprint, hold_id,
  created_at, started_at, running_at, completed_at, machine_id, machine_tries, machine_failures, recoveries, beat_at,
  idle_ms, inference_micros, error_code, error_message, compute_seconds, spent_cents`;
const COLUMNS = `${SMALL_COLUMNS}, prompt, partial_text, result_text, result_json`;
/** What a list needs: a hundred prompts and results would be a great deal to read. */
const LISTED_COLUMNS = `${SMALL_COLUMNS}, left(prompt, ${LISTED_PROMPT_CHARACTERS}) as prompt,
  null as partial_text, null as result_text, null as result_json`;

function taskOf(row: TaskRow): Task {
  const inference = usd(row.inference_micros);
  return {
    id: row.id,
    accountId: row.account_id,
    status: row.status,
    prompt: row.prompt,
    modelSlug: row.model_slug,
    budgetCents: row.budget_cents,
    timeoutSeconds: row.timeout_seconds,
    webhookUrl: row.webhook_url ?? undefined,
    holdId: row.hold_id,
    createdAt: row.created_at,
    startedAt: row.started_at ?? undefined,
    runningAt: row.running_at ?? undefined,
    completedAt: row.completed_at ?? undefined,
    machineId: row.machine_id ?? undefined,
    machineTries: row.machine_tries,
    machineFailures: row.machine_failures,
    recoveries: row.recoveries,
    beatAt: row.beat_at ?? undefined,
    idleMs: Number(row.idle_ms),
    inference,
    partialText: row.partial_text ?? undefined,
    settled: row.compute_seconds === null ? undefined : costOf(row.budget_cents, inference, row.compute_seconds),
    result: row.result_text === null ? undefined : { text: row.result_text, json: row.result_json },
    error: row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? '' },
  };
}

const one = ([row]: TaskRow[]): Task | undefined => row && taskOf(row);

export type NewTask = Pick<
  Task,
  'id' | 'accountId' | 'prompt' | 'modelSlug' | 'budgetCents' | 'timeoutSeconds' | 'webhookUrl' | 'holdId' | 'createdAt'
> & { idempotencyKey: string | undefined; fingerprint: Buffer };

/** False where the id or the account's idempotency key is taken; waits for a transaction that is about to take it. */
export async function insertTask(tx: Tx, task: NewTask): Promise<boolean> {
  const rows = await tx.query(
    `insert into tasks (id, account_id, status, prompt, model_slug, budget_cents, timeout_seconds, webhook_url,
                        idempotency_key, fingerprint, hold_id, created_at, due_at)
     values ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
     on conflict do nothing
     returning 1`,
    [
      task.id,
      task.accountId,
      task.prompt,
      task.modelSlug,
      task.budgetCents,
      task.timeoutSeconds,
      task.webhookUrl ?? null,
      task.idempotencyKey ?? null,
      task.fingerprint,
      task.holdId,
      task.createdAt,
    ],
  );
  return rows.length === 1;
}

/** The task that an insert ran into: by its id, or by its account's idempotency key. */
export async function findEarlier(
  db: Db,
  wanted: Pick<NewTask, 'id' | 'accountId' | 'idempotencyKey'>,
): Promise<{ task: Task; fingerprint: Buffer } | undefined> {
  const [row] = await db.query<TaskRow>(
    `select ${COLUMNS} from tasks where account_id = $2 and (id = $1 or idempotency_key = $3)`,
    [wanted.id, wanted.accountId, wanted.idempotencyKey ?? null],
  );
  return row && { task: taskOf(row), fingerprint: row.fingerprint };
}

export const findTask = async (db: Db, id: TaskId): Promise<Task | undefined> =>
  one(await db.query<TaskRow>(`select ${COLUMNS} from tasks where id = $1`, [id]));

/** An account's newest tasks. */
export const newestTasks = async (db: Db, accountId: AccountId, limit: number): Promise<ListedTask[]> =>
  (
    await db.query<TaskRow>(
      `select ${LISTED_COLUMNS} from tasks where account_id = $1 order by created_at desc, id desc limit $2`,
      [accountId, limit],
    )
  ).map(taskOf);

/**
 * The task, locked until the transaction ends, and whether its worker is gone. Whoever changes a task's status holds
 * this lock, so of two who would, the second sees what the first has done.
 */
export async function lockTask(
  tx: Tx,
  id: TaskId,
): Promise<{ task: Task; owner: string | undefined; abandoned: boolean } | undefined> {
  const [row] = await tx.query<TaskRow & { owner: string | null; abandoned: boolean }>(
    `select ${COLUMNS}, owner, coalesce(owned_until < clock_timestamp(), false) as abandoned from tasks where id = $1 for update`,
    [id],
  );
  return row && { task: taskOf(row), owner: row.owner ?? undefined, abandoned: row.abandoned };
}

/** Running tasks whose workers live and whose timeout is over. */
export const overdueTasks = async (db: Db, now: Date, limit: number): Promise<Task[]> =>
  (
    await db.query<TaskRow>(
      `select ${COLUMNS} from tasks
        where completed_at is null and status = 'running' and owned_until >= clock_timestamp()
          and running_at + (timeout_seconds * 1000 + idle_ms) * interval '1 millisecond' <= $1
        limit $2`,
      [now, limit],
    )
  ).map(taskOf);

/** Tasks that have waited in the queue since before a time. */
export const queuedBefore = async (db: Db, before: Date, limit: number): Promise<Task[]> =>
  (
    await db.query<TaskRow>(
      `select ${COLUMNS} from tasks where completed_at is null and status = 'queued' and created_at <= $1 limit $2`,
      [before, limit],
    )
  ).map(taskOf);

export type EndedTask = {
  id: TaskId;
  status: EndStatus;
  completedAt: Date;
  computeSeconds: number;
  spentCents: number;
  result: Result | undefined;
  error: { code: ErrorCode; message: string } | undefined;
};

/** Writes how a task ended. The caller holds its lock and moves its money in the same transaction. */
export async function writeEnd(tx: Tx, end: EndedTask): Promise<void> {
  await tx.query(
    `update tasks
        set status = $2, completed_at = $3, compute_seconds = $4, spent_cents = $5, result_text = $6, result_json = $7,
            error_code = $8, error_message = $9, owner = null, owned_until = null
      where id = $1`,
    [
      end.id,
      end.status,
      end.completedAt,
      end.computeSeconds,
      end.spentCents,
      end.result?.text ?? null,
      end.result ? JSON.stringify(end.result.json) : null,
      end.error?.code ?? null,
      end.error?.message ?? null,
    ],
  );
}
