import { randomBytes, randomInt } from 'node:crypto';
import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { SECOND, after } from '../../kernel/time.ts';
import { deriveKey, hmacSha256, sameSecret } from '../../platform/crypto.ts';
import { PUZZLES, randomPuzzleKind, type Dice, type PuzzleKind } from './puzzles.ts';

/** A challenge must be answered within this time. */
export const CHALLENGE_TIME = 30 * SECOND;
const ID_BYTES = 16;

export type Challenge = {
  id: string;
  kind: PuzzleKind;
  icon: string;
  title: string;
  description: string;
  prompt: string;
};

/** What a token says. `ans` is a keyed MAC, so that the few possible answers cannot be tried out against it. */
export type ChallengeClaims = { cid: string; typ: PuzzleKind; ans: string; exp: number };

export type ChallengeKeys = { signing: Buffer; answers: Buffer };

export const challengeKeys = (secret: Uint8Array): ChallengeKeys => ({
  signing: deriveKey(secret, 'challenge token'),
  answers: deriveKey(secret, 'challenge answer'),
});

/** A new challenge with the token that carries its state; nothing is stored until it is answered. */
export function issueChallenge(
  keys: ChallengeKeys,
  op: Op,
  dice: Dice = (bound) => randomInt(bound),
): { challenge: Challenge; token: string } {
  const kind = randomPuzzleKind(dice);
  const { icon, title, make, normalise } = PUZZLES[kind];
  const { description, prompt, answer } = make(dice);
  const id = randomBytes(ID_BYTES).toString('hex');
  const claims = {
    cid: id,
    typ: kind,
    ans: sealAnswer(keys, id, normalise(answer)),
    exp: after(op.now, CHALLENGE_TIME).getTime(),
  };
  return { challenge: { id, kind, icon, title, description, prompt }, token: writeToken(keys, claims) };
}

const writeToken = (keys: ChallengeKeys, claims: ChallengeClaims): string => signed(keys, JSON.stringify(claims));

/** Reads a token of ours. Throws `invalid` for what is no token at all, `unauthenticated` for one that we did not sign. */
export function readToken(keys: ChallengeKeys, token: string): ChallengeClaims {
  const [payload, signature, ...rest] = token.split('.');
  if (!payload || !signature || rest.length > 0) throw new AppError('invalid', 'token is not a challenge token');
  const json = Buffer.from(payload, 'base64').toString();
  if (!sameSecret(signed(keys, json), token)) throw new AppError('unauthenticated', 'Invalid challenge token');
  // Signed by us, so it has the shape that `writeToken` gave it.
  return JSON.parse(json) as ChallengeClaims;
}

const signed = (keys: ChallengeKeys, json: string): string =>
  `${Buffer.from(json).toString('base64')}.${hmacSha256(keys.signing, json).toString('base64')}`;

export const isRightAnswer = (keys: ChallengeKeys, claims: ChallengeClaims, answer: string): boolean =>
  sameSecret(claims.ans, sealAnswer(keys, claims.cid, PUZZLES[claims.typ].normalise(answer)));

/** Bound to the challenge's id, so that equal answers look different in every token. */
const sealAnswer = (keys: ChallengeKeys, id: string, answer: string): string =>
  hmacSha256(keys.answers, `${id}:${answer}`).toString('hex');
