import type { AccountOverview, Challenge, Key, MintedKey } from '../../domains/identity/index.ts';
import { CHALLENGE_TIME } from '../../domains/identity/index.ts';
import type { Change } from '../../domains/ledger/index.ts';
import { floorToCents, usd } from '../../kernel/money.ts';
import { SECOND } from '../../kernel/time.ts';

/** From our nouns to the sheet's JSON: pure functions, one for each shape that is shown in more than one place. */
export const presentChallenge = (challenge: Challenge) => ({
  type: challenge.kind,
  icon: challenge.icon,
  title: challenge.title,
  description: challenge.description,
  prompt: challenge.prompt,
  timeLimit: CHALLENGE_TIME / SECOND,
  id: challenge.id,
});

export const presentKey = (key: Key) => ({
  id: key.id,
  name: key.name,
  key_prefix: key.prefix,
  scopes: key.scopes ?? [],
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
  // Keys end by being revoked, not by age.
  expires_at: null,
  created_at: key.createdAt.toISOString(),
});

export const presentMintedKey = (key: MintedKey) => ({
  id: key.id,
  name: key.name,
  key_prefix: key.prefix,
  key: key.secret,
  scopes: key.scopes ?? [],
  created_at: key.createdAt.toISOString(),
});

export const presentAccount = (account: AccountOverview) => ({
  account_id: account.id,
  name: account.name,
  kind: account.kind,
  claimed: account.claimedAt !== undefined,
  claimed_at: account.claimedAt?.toISOString() ?? null,
  key_count: account.activeKeys,
  created_at: account.createdAt.toISOString(),
});

/** The difference of two shown balances, so that the shown amounts add up although parts of a cent are not shown. */
export const presentChange = (change: Change) => ({
  id: change.id,
  type: change.type === 'transfer' ? (change.amount < 0n ? 'transfer_out' : 'transfer_in') : change.type,
  amount_cents: floorToCents(usd(change.availableAfter)) - floorToCents(usd(change.availableAfter - change.amount)),
  balance_after_cents: floorToCents(usd(change.availableAfter)),
  description: change.description,
  created_at: change.at.toISOString(),
});
