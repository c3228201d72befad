import type { AccountId } from '../../kernel/ids.ts';
import { secretBytes, type AccountOp, type Op } from '../../kernel/op.ts';
import { DAY, after } from '../../kernel/time.ts';
import { deriveKey, sameSecret, seal, unseal } from '../../platform/crypto.ts';
import type { Database, Tx } from '../../platform/db.ts';
import { presentSecret } from './signing.ts';
import { insertSecret, lockSecret, readSecret, replaceSecret, type SecretRow } from './secret-store.ts';

/** How long the previous secret goes on signing after a rotation. */
const OVERLAP = DAY;

/** What a receiver verifies messages with. */
export type WebhookSecret = {
  /** `whsec_` and base64. */
  secret: string;
  createdAt: Date;
  /** Until when messages are also signed with the secret before this one. */
  previousUntil: Date | null;
};

export type Secrets = {
  /** The account's secret; made now if there was none. */
  current: (op: AccountOp) => Promise<WebhookSecret>;
  /** Replaces the account's secret. Both sign for a day; a secret before the previous one ends at once. */
  rotate: (op: AccountOp) => Promise<WebhookSecret>;
  /** Sees to it that the account has a secret. */
  ensure: (tx: Tx, op: Op, accountId: AccountId) => Promise<void>;
};

/** Seals the secrets of one kind of owner, each bound to its owner's id. */
export type Vault = {
  close: (owner: string, key: Uint8Array) => Buffer;
  open: (owner: string, sealed: Uint8Array) => Buffer;
};

function vaultFor(serverSecret: Uint8Array, kind: string): Vault {
  const sealing = deriveKey(serverSecret, 'webhook secrets');
  return {
    close: (owner, key) => seal(sealing, key, `${kind} of ${owner}`),
    open: (owner, sealed) => unseal(sealing, sealed, `${kind} of ${owner}`),
  };
}

export const accountVault = (serverSecret: Uint8Array): Vault => vaultFor(serverSecret, 'webhook secret');
export const endpointVault = (serverSecret: Uint8Array): Vault => vaultFor(serverSecret, 'webhook endpoint secret');

export function createSecrets(database: Database, serverSecret: Uint8Array): Secrets {
  const { close, open } = accountVault(serverSecret);
  const ensure = (tx: Tx, op: Op, accountId: AccountId): Promise<void> =>
    insertSecret(tx, accountId, close(accountId, secretBytes(op, 'webhook secret')), op.now);
  const present = (row: SecretRow, now: Date): WebhookSecret => ({
    secret: presentSecret(open(row.account_id, row.current)),
    createdAt: row.created_at,
    previousUntil: isSigning(row, now) ? row.previous_until : null,
  });

  return {
    ensure,
    current: (op) =>
      database.transact(async (tx) => {
        const { accountId } = op.actor;
        const existing = await readSecret(tx, accountId);
        if (!existing) await ensure(tx, op, accountId);
        return present(existing ?? (await lockSecret(tx, accountId)), op.now);
      }),
    rotate: (op) =>
      database.transact(async (tx) => {
        const { accountId } = op.actor;
        await ensure(tx, { ...op, seed: undefined }, accountId);
        const row = await lockSecret(tx, accountId);
        const next = secretBytes(op, 'webhook secret');
        // The same request once more, under its idempotency key.
        if (sameSecret(open(accountId, row.current), next)) return present(row, op.now);
        return present(
          await replaceSecret(tx, accountId, close(accountId, next), op.now, after(op.now, OVERLAP)),
          op.now,
        );
      }),
  };
}

/** Whether the secret before the last rotation still signs. */
export const isSigning = ({ previous_until }: { previous_until: Date | null }, now: Date): boolean =>
  previous_until !== null && previous_until > now;
