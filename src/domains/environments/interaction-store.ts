import type { Db, Tx } from '../../platform/db.ts';
import type { End, Interaction, InteractionId, Output, Stream } from './interaction.ts';
import type { SessionId } from './session.ts';

type InteractionRow = {
  id: InteractionId;
  session_id: SessionId;
  command: string;
  timeout_seconds: number;
  state: Interaction['state'];
  created_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  exit_code: number | null;
  message: string | null;
  stdout: Buffer;
  stderr: Buffer;
  stdout_bytes: bigint;
  stderr_bytes: bigint;
};

const interactionOf = (row: InteractionRow): Interaction => ({
  id: row.id,
  sessionId: row.session_id,
  command: row.command,
  timeoutSeconds: row.timeout_seconds,
  state: row.state,
  createdAt: row.created_at,
  startedAt: row.started_at ?? undefined,
  endedAt: row.ended_at ?? undefined,
  exitCode: row.exit_code ?? undefined,
  message: row.message ?? undefined,
  stdout: { kept: row.stdout, bytes: Number(row.stdout_bytes) },
  stderr: { kept: row.stderr, bytes: Number(row.stderr_bytes) },
});

export async function insertInteraction(
  tx: Tx,
  given: Pick<Interaction, 'id' | 'sessionId' | 'command' | 'timeoutSeconds' | 'createdAt'>,
): Promise<boolean> {
  const rows = await tx.query(
    `insert into env_interactions (id, session_id, command, timeout_seconds, state, created_at)
     values ($1, $2, $3, $4, 'pending', $5) on conflict do nothing returning 1`,
    [given.id, given.sessionId, given.command, given.timeoutSeconds, given.createdAt],
  );
  return rows.length === 1;
}

export const findInteraction = async (db: Db, id: InteractionId): Promise<Interaction | undefined> =>
  (await db.query<InteractionRow>(`select * from env_interactions where id = $1`, [id])).map(interactionOf)[0];

/** What an interaction has printed after so many bytes of each stream, and whether it is over. */
export async function outputAfter(
  db: Db,
  id: InteractionId,
  from: Record<Stream, number>,
): Promise<Record<Stream, Buffer> & { isOver: boolean }> {
  const [row] = await db.query<{ stdout: Buffer; stderr: Buffer; over: boolean }>(
    `select substring(stdout from $2::integer + 1) as stdout, substring(stderr from $3::integer + 1) as stderr,
            state <> 'pending' as over
       from env_interactions where id = $1`,
    [id, from.stdout, from.stderr],
  );
  return row ? { stdout: row.stdout, stderr: row.stderr, isOver: row.over } : { ...NOTHING, isOver: true };
}

const NOTHING = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

export const countPending = async (tx: Tx, sessionId: SessionId): Promise<number> =>
  (
    await tx.query<{ pending: number }>(
      `select count(*)::integer as pending from env_interactions where session_id = $1 and state = 'pending'`,
      [sessionId],
    )
  )[0]?.pending ?? 0;

/** True for whoever begins the command; false where it was begun before, or is over. */
export async function noteStarted(tx: Tx, id: InteractionId, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update env_interactions set started_at = $2 where id = $1 and state = 'pending' and started_at is null returning 1`,
    [id, now],
  );
  return rows.length === 1;
}

/**
 * Adds what a command has printed after `offset` bytes of a stream, as far as it was not added before: two processes may
 * hear the same command for a moment. `bytes` is its length, `kept` as much of it as there is room for.
 */
export async function appendOutput(
  tx: Tx,
  id: InteractionId,
  stream: Stream,
  offset: number,
  { kept, bytes }: Output,
): Promise<void> {
  await tx.query(
    `update env_interactions
        set ${stream} = ${stream} || substring($3::bytea from (${stream}_bytes - $2::bigint)::integer + 1),
            ${stream}_bytes = $2::bigint + $4
      where id = $1 and state = 'pending' and ${stream}_bytes >= $2 and ${stream}_bytes < $2::bigint + $4`,
    [id, offset, kept, bytes],
  );
}

/** Ends an interaction; false where it had ended. */
export async function writeInteractionEnd(tx: Tx, id: InteractionId, end: End, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update env_interactions set state = $2, exit_code = $3, message = $4, ended_at = $5
      where id = $1 and state = 'pending' returning 1`,
    [id, end.state, end.exitCode, end.message ?? null, now],
  );
  return rows.length === 1;
}

/** Ends all that still runs in a session. */
export async function endPending(tx: Tx, sessionId: SessionId, end: End, now: Date): Promise<void> {
  await tx.query(
    `update env_interactions set state = $2, exit_code = $3, message = $4, ended_at = $5
      where session_id = $1 and state = 'pending'`,
    [sessionId, end.state, end.exitCode, end.message ?? null, now],
  );
}
