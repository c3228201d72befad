import { afterAll, expect, test } from 'vitest';
import { createCourt } from './court.ts';
import type { Case } from './promises.ts';

const court = createCourt(1_000);
afterAll(() => court.close());

const caseOf = (output: unknown, metadata: { schema?: unknown; checks?: Case['promises']['checks'] } = {}): Case => ({
  output,
  promises: { schema: metadata.schema, checks: metadata.checks ?? [] },
  own: [],
});
/** Takes longer than the world exists. */
const ENDLESS = { type: 'regex', field: 'text', pattern: '^(a+)+$' };
const BAIT = { text: `${'a'.repeat(100)}!` };

test('a pattern that never ends is stopped, and the cases around it are judged', async () => {
  const heard = await court.hear([caseOf({ a: 1 }), caseOf(BAIT, { checks: [ENDLESS] }), caseOf({})]);
  expect(heard[0]).toEqual({ verdict: { own: [] } });
  expect(heard[1]).toEqual({ overran: 'Took longer than 1000 ms' });
  expect(heard[2]).toMatchObject({ verdict: { broken: { rule: 'PROOF_MISSING' } } });
});

test('a pattern inside a schema is under the same guard', async () => {
  const schema = { properties: { text: { pattern: '^(a+)+$' } } };
  expect(await court.hear([caseOf(BAIT, { schema })])).toEqual([{ overran: 'Took longer than 1000 ms' }]);
});

test('this process answers while a pattern runs', async () => {
  let turns = 0;
  const beat = setInterval(() => turns++, 10);
  await court.hear([caseOf(BAIT, { checks: [ENDLESS] })]);
  clearInterval(beat);
  expect(turns).toBeGreaterThan(10);
});

test('a schema that refers to itself without end is stopped as well', async () => {
  const schema = { $ref: '#/definitions/a', definitions: { a: { allOf: [{ $ref: '#/definitions/a' }] } } };
  const [heard] = await court.hear([caseOf({ a: 1 }, { schema })]);
  expect(heard).toHaveProperty('overran');
  expect(await court.hear([caseOf({ a: 1 })])).toEqual([{ verdict: { own: [] } }]);
});

test('two hearings at once are held one after the other, each with its own answers', async () => {
  const [first, second] = await Promise.all([court.hear([caseOf({})]), court.hear([caseOf({ a: 1 })])]);
  expect(first[0]).toMatchObject({ verdict: { broken: { rule: 'PROOF_MISSING' } } });
  expect(second[0]).toEqual({ verdict: { own: [] } });
});
