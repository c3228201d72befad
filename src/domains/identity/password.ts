import { hash, verify } from '@node-rs/argon2';
import type { AccountId } from '../../kernel/ids.ts';
import type { Db } from '../../platform/db.ts';
import { findIdentity } from './store.ts';

/** Argon2id, the library's default, with the first parameter set that OWASP recommends: 19 MiB, two passes. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export const MIN_PASSWORD_LENGTH = 8;
/** Long enough for any passphrase, short enough that hashing stays cheap. */
export const MAX_PASSWORD_LENGTH = 256;
export const MAX_EMAIL_LENGTH = 254;

/** The form in which an e-mail address is known; two addresses that differ by case are one. */
export const normaliseEmail = (email: string): string => email.trim().toLowerCase();

/** One password typed on two keyboards may arrive in two Unicode forms. */
const normalisePassword = (password: string): string => password.normalize('NFKC');

export const hashPassword = (password: string): Promise<string> => hash(normalisePassword(password), COST);

export const isPassword = (hashed: string, password: string): Promise<boolean> =>
  verify(hashed, normalisePassword(password));

let decoy: Promise<string> | undefined;

/** The account that an e-mail address and its password open, if they do. Takes as long for an unknown address. */
export async function verifyPassword(
  db: Db,
  attempt: { email: string; password: string },
): Promise<AccountId | undefined> {
  const identity = await findIdentity(db, 'password', normaliseEmail(attempt.email));
  const hashed = identity?.secret ?? (await (decoy ??= hashPassword('nobody has this password')));
  const right = await isPassword(hashed, attempt.password);
  return right ? identity?.account_id : undefined;
}
