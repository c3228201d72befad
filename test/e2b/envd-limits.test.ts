import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MAX_SEARCHES } from '../../src/apis/e2b/envd/access.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { CODE, startInside, TOKEN, type Inside } from './inside.ts';

let inside: Inside;
beforeAll(async () => void (inside = await startInside({ limits: requestLimits })));
afterAll(() => inside.close());
beforeEach(() => inside.db.query('delete from request_windows'));

const ask = (token: string) =>
  fetch(`${inside.origin}/e2b/envd/envs`, { headers: { 'e2b-sandbox-id': CODE, 'x-access-token': token } });
const signed = (signature = `v1_${'a'.repeat(43)}`) =>
  fetch(`${inside.origin}/files?path=x&signature=${signature}`, { signal: AbortSignal.timeout(5_000) });
const spend = (bucket: string) =>
  inside.db.query(`update request_windows set count = 1e6 where bucket like $1`, [bucket]);
const refused = async (reply: Response) => {
  expect(reply.status).toBe(429);
  expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
};

describe('a sandbox', () => {
  test('takes so many requests a minute and no more, and strangers use up none of them', async () => {
    expect((await ask('wrong')).status).toBe(401);
    expect(await inside.db.query(`select 1 from request_windows where bucket like 'envd:%'`)).toEqual([]);
    for (let each = 0; each < 130; each++) expect((await ask(TOKEN)).status).toBe(200);
    await spend('envd:%');
    await refused(await ask(TOKEN));
  });

  test('is not even looked for on behalf of an address that was wrong too often', async () => {
    expect((await ask('wrong')).status).toBe(401);
    await spend('raw-stranger:%');
    await refused(await ask(TOKEN));
  });

  test('that is named by a signature alone is looked for so often and no more', async () => {
    expect((await signed()).status).toBe(401);
    await spend('envd-signed:%');
    await refused(await signed());
  });

  test('that is named by a signature alone is looked for on behalf of few at a time', async () => {
    let found = () => {};
    inside.state.searching = new Promise((resolve) => (found = resolve));
    const searches = Array.from({ length: MAX_SEARCHES.each }, () => signed());
    const odd = await signed('v1_guess');
    expect([odd.status, await odd.json()]).toEqual([401, { code: 401, message: 'invalid signature' }]);
    await expect.poll(async () => (await signed()).status).toBe(429);
    await refused(await signed());
    found();
    expect((await Promise.all(searches)).map(({ status }) => status)).toContain(401);
    expect((await signed()).status).toBe(401);
  });
});
