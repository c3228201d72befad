import { randomUUID } from 'node:crypto';
import type { EscrowId, GridTaskId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Action, DecidedBy, Decision, RecordedDecision, RecordedValidation, Validation } from './decision.ts';
import type { EscrowState } from './escrow.ts';

export async function insertDecisions(tx: Tx, decisions: readonly Decision[], now: Date): Promise<void> {
  if (decisions.length === 0) return;
  const rows = decisions.map(({ escrowId, taskId, rule, details, action }) => ({
    id: randomUUID(),
    escrow_id: escrowId,
    task_id: taskId,
    rule,
    details,
    action,
  }));
  await tx.query(
    `insert into grid_decisions (id, escrow_id, task_id, rule, details, action, created_at)
     select d.id, d.escrow_id, coalesce(d.task_id, t.id), d.rule, d.details, d.action, $2
       from jsonb_to_recordset($1) as d (id uuid, escrow_id uuid, task_id uuid, rule text, details jsonb, action text)
       left join grid_tasks t on t.escrow_id = d.escrow_id`,
    [JSON.stringify(rows), now],
  );
}

type Row = {
  id: string;
  escrow_id: EscrowId;
  task_id: GridTaskId | null;
  rule: DecidedBy;
  details: Record<string, unknown> | null;
  action: Action;
  state: EscrowState;
  created_at: Date;
};

const READ = `select d.id, d.escrow_id, d.task_id, d.rule, d.details, d.action, e.state, d.created_at
                from grid_decisions d join grid_escrows e on e.id = d.escrow_id`;

/** Oldest first. */
export async function decisionsAbout(db: Db, task: GridTaskId): Promise<RecordedDecision[]> {
  const rows = await db.query<Row>(`${READ} where d.task_id = $1 order by d.seq`, [task]);
  return rows.map(decisionOf);
}

export type DecisionFilter = { rule?: string; escrowState?: string; action?: string };

const MATCHES = `($1::text is null or d.rule = $1) and ($2::text is null or e.state = $2)
   and ($3::text is null or d.action = $3)`;

/** Newest first, with how many there are in all. */
export async function listDecisions(
  db: Db,
  { rule, escrowState, action }: DecisionFilter,
  page: { limit: number; offset: number },
): Promise<{ rows: RecordedDecision[]; total: number }> {
  const filter = [rule ?? null, escrowState ?? null, action ?? null];
  const rows = await db.query<Row>(`${READ} where ${MATCHES} order by d.seq desc limit $4 offset $5`, [
    ...filter,
    page.limit,
    page.offset,
  ]);
  const [counted] = await db.query<{ total: bigint }>(
    `select count(*) as total from grid_decisions d join grid_escrows e on e.id = d.escrow_id where ${MATCHES}`,
    filter,
  );
  return { rows: rows.map(decisionOf), total: Number(counted?.total ?? 0n) };
}

/** What was found before stays as it was found. */
export async function insertValidations(
  tx: Tx,
  task: GridTaskId,
  validations: readonly Validation[],
  now: Date,
): Promise<void> {
  for (const { validatorId, result, details } of validations)
    await tx.query(
      `insert into grid_validations (task_id, validator_id, result, details, created_at)
       values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [task, validatorId, result, details === null ? null : JSON.stringify(details), now],
    );
}

export async function validationsOf(db: Db, task: GridTaskId): Promise<RecordedValidation[]> {
  const rows = await db.query<{
    validator_id: string;
    result: Validation['result'];
    details: unknown;
    created_at: Date;
  }>(`select validator_id, result, details, created_at from grid_validations where task_id = $1 order by seq`, [task]);
  return rows.map((row) => ({
    validatorId: row.validator_id,
    result: row.result,
    details: row.details,
    at: row.created_at,
  }));
}

const decisionOf = (row: Row): RecordedDecision => ({
  id: row.id,
  escrowId: row.escrow_id,
  taskId: row.task_id,
  rule: row.rule,
  details: row.details,
  action: row.action,
  escrowState: row.state,
  at: row.created_at,
});
