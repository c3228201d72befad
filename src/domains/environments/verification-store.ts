import type { MachineId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { SessionId } from './session.ts';
import type { GradingResult, Verification, VerificationId } from './verification.ts';

type VerificationRow = {
  id: VerificationId;
  session_id: SessionId;
  state: Verification['state'];
  created_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  machine_id: MachineId | null;
  workspace_sha256: string | null;
  tests_sha256: string | null;
  result: GradingResult | null;
  error_code: string | null;
  error_message: string | null;
};

const verificationOf = (row: VerificationRow): Verification => ({
  id: row.id,
  sessionId: row.session_id,
  state: row.state,
  createdAt: row.created_at,
  startedAt: row.started_at ?? undefined,
  endedAt: row.ended_at ?? undefined,
  machineId: row.machine_id ?? undefined,
  workspaceSha256: row.workspace_sha256 ?? undefined,
  testsSha256: row.tests_sha256 ?? undefined,
  result: row.result ?? undefined,
  error: row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? '' },
});

export const insertVerification = async (
  tx: Tx,
  { id, sessionId, createdAt }: Pick<Verification, 'id' | 'sessionId' | 'createdAt'>,
): Promise<boolean> =>
  (
    await tx.query(
      `insert into env_verifications (id, session_id, state, created_at) values ($1, $2, 'pending', $3)
       on conflict do nothing returning 1`,
      [id, sessionId, createdAt],
    )
  ).length === 1;

export const findVerification = async (db: Db, id: VerificationId): Promise<Verification | undefined> =>
  (await db.query<VerificationRow>(`select * from env_verifications where id = $1`, [id])).map(verificationOf)[0];

export const countOpenVerifications = async (tx: Tx, sessionId: SessionId): Promise<number> =>
  (
    await tx.query<{ open: number }>(
      `select count(*)::integer as open from env_verifications where session_id = $1 and ended_at is null`,
      [sessionId],
    )
  )[0]?.open ?? 0;

/**
 * Begins an attempt with a machine of its own. Answers the machine of an attempt that was broken off, to be removed;
 * undefined where the verification is over.
 */
export async function noteGrader(
  tx: Tx,
  id: VerificationId,
  machineId: MachineId,
  now: Date,
): Promise<{ before: MachineId | undefined } | undefined> {
  const [row] = await tx.query<{ machine_id: MachineId | null }>(
    `select machine_id from env_verifications where id = $1 and ended_at is null for update`,
    [id],
  );
  if (!row) return undefined;
  await tx.query(
    `update env_verifications set state = 'running', started_at = coalesce(started_at, $3), machine_id = $2 where id = $1`,
    [id, machineId, now],
  );
  return { before: row.machine_id ?? undefined };
}

export type VerificationEnd =
  | { workspaceSha256: string; testsSha256: string; result: GradingResult }
  | { error: { code: string; message: string } };

/** Writes how an attempt ended; false where another one came before it. */
export async function writeVerificationEnd(
  tx: Tx,
  { id, machineId }: { id: VerificationId; machineId: MachineId },
  end: VerificationEnd,
  now: Date,
): Promise<boolean> {
  const isError = 'error' in end;
  const rows = await tx.query(
    `update env_verifications
        set state = $3, ended_at = $4, workspace_sha256 = $5, tests_sha256 = $6, result = $7, error_code = $8,
            error_message = $9
      where id = $1 and machine_id = $2 and ended_at is null returning 1`,
    [
      id,
      machineId,
      isError ? 'error' : 'completed',
      now,
      isError ? null : end.workspaceSha256,
      isError ? null : end.testsSha256,
      isError ? null : JSON.stringify(end.result),
      isError ? end.error.code : null,
      isError ? end.error.message : null,
    ],
  );
  return rows.length === 1;
}
