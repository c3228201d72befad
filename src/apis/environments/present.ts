import type { z } from 'zod';
import type { AccessToken, MintedKey, Profile } from '../../domains/identity/index.ts';
import type { Change, Sums } from '../../domains/ledger/index.ts';
import { floorToCents, usd } from '../../kernel/money.ts';
import type { AccessShown } from './auth.ts';
import type { ChangeShown } from './billing.ts';
import type { KeyShown } from './api-keys.ts';
import type { UserShown } from './users.ts';

/** From our nouns to the sheet's JSON: pure functions. */
export const presentAccess = ({ token, expiresInSeconds }: AccessToken): z.input<typeof AccessShown> => ({
  access_token: token,
  token_type: 'Bearer',
  expires_in: expiresInSeconds,
});

export const presentUser = (profile: Profile): z.input<typeof UserShown> => ({
  user_id: profile.id,
  name: profile.name,
  // The contract's clients insist on a string; an agent that nobody has claimed has no address.
  email: profile.email ?? '',
  github_id: profile.githubId ?? null,
  created_at: profile.createdAt.toISOString(),
  last_login_at: profile.lastLoginAt?.toISOString() ?? null,
  is_active: true,
});

export const presentMintedKey = (key: MintedKey): z.input<typeof KeyShown> => ({
  key_id: key.id,
  key: key.secret,
  name: key.name,
  created_at: key.createdAt.toISOString(),
  // Keys end by being revoked, not by age.
  expires_at: null,
  is_active: true,
});

/** Whole cents that add up: what is used is the difference of the other two as they are shown. */
export function sumsInCents({ available, deposited }: Sums<'USD'>): {
  balance: number;
  deposited: number;
  used: number;
} {
  const [balance, total] = [floorToCents(available), floorToCents(deposited)];
  return { balance, deposited: total, used: total - balance };
}

/** The difference of two shown balances, so that the shown amounts add up although parts of a cent are not shown. */
export const presentChange = (change: Change): z.input<typeof ChangeShown> => ({
  id: change.id,
  type: change.type,
  amount_cents: floorToCents(usd(change.availableAfter)) - floorToCents(usd(change.availableAfter - change.amount)),
  balance_after_cents: floorToCents(usd(change.availableAfter)),
  description: change.description,
  created_at: change.at.toISOString(),
});
