import type { Clock } from '../kernel/time.ts';
import { deriveKey, seal, unseal } from './crypto.ts';
import type { Database, Db, Tx } from './db.ts';

/** A secret that this installation has made for itself and keeps in the database, sealed with its master secret. */
export type KeptSecret = {
  /** Undefined where nobody has needed it yet. */
  find(): Promise<Buffer | undefined>;
  /** Makes it where there is none. Of several that make one at once, the first counts, and all get that one. */
  findOrMake(make: () => string | Uint8Array | Promise<string | Uint8Array>): Promise<Buffer>;
};

export type KeptSecretOptions = { db: Database; secret: Uint8Array; clock: Clock };

/** `name` is bound to it: no other secret can be put in its place. */
export function keptSecret({ db, secret, clock }: KeptSecretOptions, name: string): KeptSecret {
  const sealing = deriveKey(secret, name);
  const opened = (sealed: Buffer | undefined): Buffer | undefined => sealed && unseal(sealing, sealed, name);
  const find = async () => opened(await read(db, name));
  return {
    find,
    async findOrMake(make) {
      const kept = await find();
      if (kept) return kept;
      const made = await make();
      const sealed = seal(sealing, made, name);
      return opened(await db.transact((tx) => keep(tx, name, sealed, clock.now()))) ?? Buffer.from(made);
    },
  };
}

async function read(db: Db, name: string): Promise<Buffer | undefined> {
  const [row] = await db.query<{ sealed: Buffer }>(`select sealed from kept_secrets where name = $1`, [name]);
  return row?.sealed;
}

async function keep(tx: Tx, name: string, sealed: Buffer, at: Date): Promise<Buffer | undefined> {
  const values = [name, sealed, at];
  await tx.query(
    `insert into kept_secrets (name, sealed, created_at) values ($1, $2, $3) on conflict do nothing`,
    values,
  );
  return read(tx, name);
}
