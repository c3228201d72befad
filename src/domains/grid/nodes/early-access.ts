import { secretBytes, type Op } from '../../../kernel/op.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { GridWorld } from '../world.ts';
import { insertEarlyAccess } from './challenge-store.ts';

export type EarlyAccessWish = {
  email: string;
  nodeName: string | undefined;
  agentType: string | undefined;
  primaryCapability: string | undefined;
  whyJoining: string | undefined;
};

const TOKEN_BYTES = 16;

/** Writes down who wants to be among the first, and answers the token that a node of theirs is linked with. */
export async function signUpEarly({ db }: GridWorld, op: Op, wish: EarlyAccessWish): Promise<string> {
  const token = `ea_${secretBytes(op, 'early access').subarray(0, TOKEN_BYTES).toString('base64url')}`;
  await db.transact(async (tx) => {
    if (!(await insertEarlyAccess(tx, { token, ...wish, createdAt: op.now }))) return;
    await recordFact(tx, op, { type: 'early_access.requested', subject: token.slice(0, 8), data: {} });
  });
  return token;
}
