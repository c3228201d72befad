import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { solveChallenge } from '../../cli/solve-challenge.ts';
import { systemOp } from '../../../test/harness/op.ts';
import { challengeKeys, isRightAnswer, issueChallenge, readToken } from './challenge.ts';
import { PUZZLES } from './puzzles.ts';

const keys = challengeKeys(Buffer.alloc(32, 3));
const NOON = new Date('2026-03-01T12:00:00.000Z');
const issue = () => {
  const { challenge, token } = issueChallenge(keys, systemOp(NOON));
  return { challenge, token, answer: solveChallenge({ ...challenge, type: challenge.kind }) };
};

describe('a challenge token', () => {
  test('is base64 of JSON, a dot, and base64 of its HMAC, and says when the challenge expires', () => {
    const { challenge, token } = issue();
    const [payload = '', signature = '', ...rest] = token.split('.');
    expect(rest).toEqual([]);
    expect(Buffer.from(payload, 'base64').toString('base64')).toBe(payload);
    expect(Buffer.from(signature, 'base64')).toHaveLength(32);
    expect(JSON.parse(Buffer.from(payload, 'base64').toString())).toEqual({
      cid: challenge.id,
      typ: challenge.kind,
      ans: expect.stringMatching(/^[0-9a-f]{64}$/),
      exp: NOON.getTime() + 30_000,
    });
  });

  test('does not give its answer away to who tries out the few there can be', () => {
    const guesses = ['AGENT', 'ROBOT', 'NEXUS', 'CYBER', 'LOGIC', 'PROXY', 'STACK', 'ASYNC', 'CLOUD', 'DELTA'];
    const numbers = Array.from({ length: 10_000 }, (_, n) => String(n));
    for (let n = 0; n < 5; n++) {
      const { challenge, token, answer } = issue();
      const { ans } = readToken(keys, token);
      const hashes = [...guesses, ...numbers, answer].flatMap((guess) => [
        guess,
        challenge.id + guess,
        `${challenge.id}:${guess}`,
      ]);
      expect(hashes.map((text) => createHash('sha256').update(text).digest('hex'))).not.toContain(ans);
    }
  });

  test('takes the right answer and no other', () => {
    for (let n = 0; n < 50; n++) {
      const { challenge, token, answer } = issue();
      const claims = readToken(keys, token);
      expect(isRightAnswer(keys, claims, ` ${answer}\n`)).toBe(true);
      expect(isRightAnswer(keys, claims, `${answer}1`)).toBe(false);
      expect(isRightAnswer(keys, { ...claims, cid: '0'.repeat(32) }, answer)).toBe(false);
      expect(PUZZLES[challenge.kind].title).toBe(challenge.title);
    }
  });

  test('with any character changed is refused', () => {
    const { token } = issue();
    for (let at = 0; at < token.length; at++) {
      if (token[at] === '.') continue;
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      expect(() => readToken(keys, changed)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    }
  });

  test('of another installation is refused', () => {
    const { token } = issueChallenge(challengeKeys(Buffer.alloc(32, 4)), systemOp(NOON));
    expect(() => readToken(keys, token)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test.each(['nonsense', '', '.', 'a.', '.b', 'a.b.c'])('that is %j is malformed', (token) => {
    expect(() => readToken(keys, token)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
