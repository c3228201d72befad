import type { AccountId, ImageId, MachineId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Image, ImageConfig, ImageSource, ImageState } from './image.ts';

type ImageRow = {
  id: ImageId;
  account_id: AccountId;
  name: string;
  state: ImageState;
  state_at: Date;
  source: ImageSource;
  machine_id: MachineId | null;
  attempts: number;
  config: (Omit<ImageConfig, 'workdir' | 'user'> & { workdir?: string; user?: string }) | null;
  bytes: bigint | null;
  files: number | null;
  failure: string | null;
  created_at: Date;
};

/** Everything but the log, which may be long. */
const COLUMNS = `id, account_id, name, state, state_at, source, machine_id, attempts, config, bytes, files, failure, created_at`;

const present = (row: ImageRow): Image => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  state: row.state,
  stateAt: row.state_at,
  source: row.source,
  machineId: row.machine_id ?? undefined,
  attempts: row.attempts,
  config: row.config === null ? undefined : { ...row.config, workdir: row.config.workdir, user: row.config.user },
  bytes: row.bytes === null ? undefined : Number(row.bytes),
  files: row.files ?? undefined,
  failure: row.failure ?? undefined,
  createdAt: row.created_at,
});

/** Whether the image `i` has machines or snapshots that need its files. */
const STOOD_ON = `(exists (select from machines m where m.image = i.id and m.state <> 'destroyed')
                   or exists (select from machine_snapshots s where s.image = i.id))`;

const only = (rows: ImageRow[]): Image | undefined => (rows[0] ? present(rows[0]) : undefined);

/** Lets one transaction at a time decide what an account may have, until it ends. */
export const lockAccount = async (tx: Tx, accountId: AccountId): Promise<void> =>
  void (await tx.query(`select pg_advisory_xact_lock(hashtextextended('images of ' || $1, 0))`, [accountId]));

export const findImage = async (db: Db, id: ImageId): Promise<Image | undefined> =>
  only(await db.query<ImageRow>(`select ${COLUMNS} from images where id = $1`, [id]));

/** An account's image of a name: the one that is ready or being made, else the newest that failed. */
export const imageNamed = async (db: Db, accountId: AccountId, name: string): Promise<Image | undefined> =>
  only(
    await db.query<ImageRow>(
      `select ${COLUMNS} from images
        where account_id = $1 and name = $2 and state <> 'removed'
        order by state = 'failed', created_at desc limit 1`,
      [accountId, name],
    ),
  );

export const readyImages = async (db: Db, accountId: AccountId, names: readonly string[]): Promise<Image[]> =>
  (
    await db.query<ImageRow>(
      `select ${COLUMNS} from images where account_id = $1 and state = 'ready' and name = any($2) order by name`,
      [accountId, names],
    )
  ).map(present);

export const newestImages = async (db: Db, accountId: AccountId, limit: number): Promise<Image[]> =>
  (
    await db.query<ImageRow>(
      `select ${COLUMNS} from images where account_id = $1 and state <> 'removed'
        order by created_at desc, id desc limit $2`,
      [accountId, limit],
    )
  ).map(present);

export async function logOf(db: Db, id: ImageId): Promise<string> {
  const [row] = await db.query<{ log: string }>(`select log from images where id = $1`, [id]);
  return row?.log ?? '';
}

/**
 * What an account has and is having made; failed ones are only among all that are listed. The files of one that it has
 * removed are its own as long as a machine or a snapshot of it stands on them.
 */
export async function taken(
  db: Db,
  accountId: AccountId,
): Promise<{ images: number; listed: number; building: number; bytes: number }> {
  const [row] = await db.query<{ images: number; listed: number; building: number; bytes: number }>(
    `select (count(*) filter (where state in ('building', 'ready')))::integer as images,
            (count(*) filter (where state <> 'removed'))::integer as listed,
            (count(*) filter (where state = 'building'))::integer as building,
            coalesce(sum(bytes), 0)::double precision as bytes
       from images i where account_id = $1 and (state <> 'removed' or (erased_at is null and ${STOOD_ON}))`,
    [accountId],
  );
  return row ?? { images: 0, listed: 0, building: 0, bytes: 0 };
}

/** False where there is one of this id already. */
export async function insertImage(tx: Tx, image: Image): Promise<boolean> {
  const rows = await tx.query(
    `insert into images (id, account_id, name, state, state_at, source, created_at)
     values ($1, $2, $3, 'building', $4, $5, $4) on conflict (id) do nothing returning id`,
    [image.id, image.accountId, image.name, image.createdAt, image.source],
  );
  return rows.length > 0;
}

/** Lets one process at a time choose what is made next, until the transaction ends. */
const lockBuilder = (tx: Tx) => tx.query(`select pg_advisory_xact_lock(hashtextextended('the builder of images', 0))`);

/** The image to be made next, unless one is being made; whoever is called dead has let its hold run out. */
export async function nextToBuild(tx: Tx, now: Date): Promise<Image | undefined> {
  await lockBuilder(tx);
  return only(
    await tx.query<ImageRow>(
      `select ${COLUMNS} from images
        where state = 'building' and not exists (select from images where state = 'building' and held_until > $1)
        order by created_at, id limit 1 for update`,
      [now],
    ),
  );
}

export async function anyToBuild(db: Db, now: Date): Promise<boolean> {
  const rows = await db.query(
    `select id from images
      where state = 'building' and not exists (select from images where state = 'building' and held_until > $1) limit 1`,
    [now],
  );
  return rows.length > 0;
}

/** Begins an attempt, which is named by its machine. */
export const beginAttempt = async (tx: Tx, id: ImageId, machineId: MachineId, heldUntil: Date): Promise<void> =>
  void (await tx.query(
    `update images set machine_id = $2, held_until = $3, attempts = attempts + 1, log = '' where id = $1`,
    [id, machineId, heldUntil],
  ));

export type Attempt = { id: ImageId; machineId: MachineId };

/** Says that an attempt is still under way and what it has told so far. False where it is not wanted any more. */
export async function keepAttempt(tx: Tx, attempt: Attempt, heldUntil: Date, log: string): Promise<boolean> {
  const rows = await tx.query(
    `update images set held_until = $3, log = $4 where id = $1 and machine_id = $2 and state = 'building' returning id`,
    [attempt.id, attempt.machineId, heldUntil, log],
  );
  return rows.length > 0;
}

/** What an attempt has said when it is over. */
export const keepLog = async (tx: Tx, attempt: Attempt, log: string): Promise<void> =>
  void (await tx.query(`update images set log = $3 where id = $1 and machine_id = $2`, [
    attempt.id,
    attempt.machineId,
    log,
  ]));

/** Leaves an image to whoever takes it up next, as if it had not been tried. */
export const leaveAttempt = async (tx: Tx, attempt: Attempt): Promise<void> =>
  void (await tx.query(
    `update images set held_until = null, attempts = attempts - 1
      where id = $1 and machine_id = $2 and state = 'building'`,
    [attempt.id, attempt.machineId],
  ));

export type Built = { config: ImageConfig; bytes: number; files: number };

export const markReady = async (tx: Tx, attempt: Attempt, built: Built, at: Date): Promise<Image | undefined> =>
  only(
    await tx.query<ImageRow>(
      `update images set state = 'ready', state_at = $3, held_until = null, config = $4, bytes = $5, files = $6
        where id = $1 and machine_id = $2 and state = 'building' returning ${COLUMNS}`,
      [attempt.id, attempt.machineId, at, built.config, built.bytes, built.files],
    ),
  );

/** Undefined where another attempt is being made by now. */
export const markFailed = async (
  tx: Tx,
  { id, machineId }: Pick<Image, 'id' | 'machineId'>,
  failure: string,
  at: Date,
): Promise<Image | undefined> =>
  only(
    await tx.query<ImageRow>(
      `update images set state = 'failed', state_at = $3, held_until = null, failure = $4
        where id = $1 and machine_id is not distinct from $2 and state = 'building' returning ${COLUMNS}`,
      [id, machineId ?? null, at, failure],
    ),
  );

export const markRemoved = async (tx: Tx, id: ImageId, at: Date): Promise<Image | undefined> =>
  only(
    await tx.query<ImageRow>(
      `update images set state = 'removed', state_at = $2, held_until = null, log = ''
        where id = $1 and state <> 'removed' returning ${COLUMNS}`,
      [id, at],
    ),
  );

/** Images that ended before then, whose files are still there and which no machine and no snapshot stands on. */
export const erasable = async (db: Db, endedBefore: Date, limit: number): Promise<Image[]> =>
  (
    await db.query<ImageRow>(
      `select ${COLUMNS} from images i
        where erased_at is null and state in ('failed', 'removed') and state_at <= $1
          and not ${STOOD_ON}
        order by state_at, id limit $2`,
      [endedBefore, limit],
    )
  ).map(present);

export const markErased = async (tx: Tx, id: ImageId, at: Date): Promise<void> =>
  void (await tx.query(`update images set erased_at = $2 where id = $1`, [id, at]));

/** Which of these are images that are being made or are not erased yet. */
export const keptOf = async (db: Db, ids: readonly string[]): Promise<Set<string>> =>
  new Set(
    (await db.query<{ id: string }>(`select id from images where id = any($1) and erased_at is null`, [ids])).map(
      ({ id }) => id,
    ),
  );
