import type { AccountId } from '../../kernel/ids.ts';

/** Who owns things: a person, or an agent that a person may claim later. */
export type AccountKind = 'person' | 'agent';

/**
 * What somebody proved by whom an account was opened; of an e-mail address nobody has yet
 * proved that it is theirs, and the challenge of the grid proves little.
 */
export type OpenedBy = 'challenge' | 'github' | 'email' | 'node';

export type Account = { id: AccountId; kind: AccountKind; name: string; createdAt: Date };

export type AccountOverview = Account & {
  /** When a person took it over, if one has. */
  claimedAt: Date | undefined;
  activeKeys: number;
};

/** An account as a person has it: how to reach them, and when they were last here. */
export type Profile = {
  id: AccountId;
  name: string;
  /** Undefined for an agent that no person has claimed. */
  email: string | undefined;
  githubId: string | undefined;
  createdAt: Date;
  lastLoginAt: Date | undefined;
};

export const MIN_NAME_LENGTH = 2;
export const MAX_NAME_LENGTH = 64;
/** ASCII letters, digits, spaces and hyphens, and not only the last two. */
export const NAME_PATTERN = /^(?=.*[A-Za-z0-9])[A-Za-z0-9 -]*$/;
