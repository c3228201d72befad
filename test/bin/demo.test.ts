import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../bin/checks.ts';
import { testServer } from '../harness/server.ts';

const TIMEOUT_MS = 180_000;

describe('the demo', () => {
  test(
    'has the main job done on a server that runs, and explains every cent of it',
    { timeout: TIMEOUT_MS },
    async () => {
      const server = await testServer();
      try {
        const { code, out, err } = await demo({ FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey });
        expect({ code, err }).toEqual({ code: 0, err: '' });
        for (const told of [
          'registered',
          'credited',
          'task accepted',
          'the answer is 1048576',
          'adds up to the balance',
        ])
          expect(out).toContain(told);
      } finally {
        await server.stop();
      }
    },
  );

  test('fails with one sentence where nothing answers', async () => {
    const env = { FREEHOLD_URL: 'http://127.0.0.1:1', FREEHOLD_ADMIN_KEY: 'an-operator-of-tests' };
    expect(await demo(env)).toEqual({
      code: 1,
      out: '',
      err: '\nThe demo failed: Nothing answers at http://127.0.0.1:1.\n',
    });
  });
});

async function demo(env: Record<string, string>) {
  const child = spawn(process.execPath, [join(REPOSITORY, 'bin/freehold'), 'demo'], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  return { code: code as number | null, out, err };
}
