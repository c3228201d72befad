import { AppError } from '../kernel/errors.ts';
import { DAY, MINUTE, after } from '../kernel/time.ts';
import { deriveKey, hmacSha256, seal, sha256, unseal } from './crypto.ts';
import type { Database, Db } from './db.ts';

/** How long a reply can be had again. */
const KEPT_FOR = DAY;
/**
 * How long a request may be under way before a repetition takes it over. Taking over is safe: ids made under the seed
 * are the same again, so what the first try has committed is found and not done twice.
 */
const LOCKED_FOR = 2 * MINUTE;
export const MAX_KEY_LENGTH = 255;

export type NamedRequest = {
  /** Who names it: keys of different callers never meet. */
  scope: string;
  key: string;
  /** Everything that must be the same in a repetition: method, path and body. */
  content: string;
  /** A secret only the caller has; replies are sealed with it. */
  secret: string;
};

export type StoredReply = { status: number; body: unknown };

/**
 * Carries out a request that its caller has named, once. A repetition answers the first reply; the same name for
 * something else is a conflict; a failure of ours is forgotten, so that a retry tries again.
 */
export async function onceOnly(
  db: Database,
  serverSecret: Uint8Array,
  request: NamedRequest,
  now: Date,
  work: (seed: Buffer) => Promise<StoredReply>,
): Promise<StoredReply & { replayed: boolean }> {
  const fingerprint = sha256(request.content);
  const earlier = await claim(db, request, fingerprint, now);
  const replyKey = deriveKey(sha256(request.secret), `reply:${request.scope}:${request.key}`);
  if (earlier) return { ...open(earlier, replyKey, request), replayed: true };
  const seed = hmacSha256(serverSecret, JSON.stringify([request.scope, request.key, fingerprint.toString('hex')]));
  try {
    const reply = await work(seed);
    await keep(db, request, reply, seal(replyKey, JSON.stringify(reply.body), request.key));
    return { ...reply, replayed: false };
  } catch (error) {
    await release(db, request, now);
    throw error;
  }
}

type Row = { fingerprint: Buffer; locked_until: Date; status: number | null; reply: Buffer | null };

/** Takes the name for this request, or answers the earlier request's row. */
async function claim(db: Db, request: NamedRequest, fingerprint: Buffer, now: Date): Promise<Row | undefined> {
  const taken = await db.query(
    `insert into idempotency_records as r (scope, key, fingerprint, claimed_at, locked_until)
     values ($1, $2, $3, $4, $5)
     on conflict (scope, key) do update
        set fingerprint = excluded.fingerprint, claimed_at = excluded.claimed_at, locked_until = excluded.locked_until,
            status = null, reply = null
      where (r.status is null and r.locked_until <= $4 and r.fingerprint = excluded.fingerprint) or r.claimed_at <= $6
     returning 1`,
    [request.scope, request.key, fingerprint, now, after(now, LOCKED_FOR), after(now, -KEPT_FOR)],
  );
  if (taken.length > 0) return undefined;
  const [row] = await db.query<Row>(
    `select fingerprint, locked_until, status, reply from idempotency_records where scope = $1 and key = $2`,
    [request.scope, request.key],
  );
  if (row && !row.fingerprint.equals(fingerprint))
    throw usedBefore('This Idempotency-Key was used for a different request');
  if (!row || row.status === null)
    throw new AppError('conflict', 'A request with this Idempotency-Key is under way', { retryAfterSeconds: 1 });
  return row;
}

/** A conflict about one header, for contracts that answer it as they answer a wrong field. */
const usedBefore = (message: string): AppError =>
  new AppError('conflict', message, {
    fields: [{ in: 'header', path: ['Idempotency-Key'], message, problem: 'malformed' }],
  });

function open(row: Row, replyKey: Buffer, request: NamedRequest): StoredReply {
  try {
    return {
      status: row.status ?? 200,
      body: JSON.parse(unseal(replyKey, row.reply ?? Buffer.alloc(0), request.key).toString()),
    };
  } catch (cause) {
    // Another key of the same account repeats it: the reply is sealed for the key that made it.
    throw new AppError('conflict', 'This Idempotency-Key was used with another credential', { cause });
  }
}

const keep = (db: Db, request: NamedRequest, reply: StoredReply, sealed: Buffer) =>
  db.query(`update idempotency_records set status = $3, reply = $4 where scope = $1 and key = $2`, [
    request.scope,
    request.key,
    reply.status,
    sealed,
  ]);

/** Of this try alone: one that has taken it over meanwhile has the name for itself. */
const release = (db: Db, request: NamedRequest, claimedAt: Date) =>
  db.query(`delete from idempotency_records where scope = $1 and key = $2 and status is null and claimed_at = $3`, [
    request.scope,
    request.key,
    claimedAt,
  ]);

/** Removes replies that are no longer kept; a sweep of the platform calls it. */
export async function forgetOldReplies(db: Db, now: Date): Promise<number> {
  const rows = await db.query(`delete from idempotency_records where claimed_at <= $1 returning 1`, [
    after(now, -KEPT_FOR),
  ]);
  return rows.length;
}
