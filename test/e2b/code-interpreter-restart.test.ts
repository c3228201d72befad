import { Sandbox } from '@e2b/code-interpreter';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { mortalServer, type MortalServer } from '../harness/mortal-server.ts';

let server: MortalServer;
let apiKey: string;
beforeAll(async () => {
  server = await mortalServer('code', { cents: 1_000 });
  apiKey = (await server.call('POST', '/v1/keys', { name: 'sdk', format: 'e2b' })).body.key;
});
afterAll(() => server?.dispose());

const access = () => {
  const { url } = server.process();
  return { apiKey, apiUrl: `${url}/e2b/api`, sandboxUrl: `${url}/e2b/envd` };
};

test(
  'what code did stays when the server is killed, and what ran goes on to its end',
  { timeout: 2 * MINUTE },
  async () => {
    const before = await Sandbox.create({ ...access(), timeoutMs: 5 * MINUTE });
    const context = await before.createCodeContext({ language: 'javascript' });
    await before.runCode('const x = 5', { context });
    await before.runCode('y = 6');
    const broken = before
      .runCode('import time\nfor i in range(30): time.sleep(0.1)\ny = 7')
      .catch((error: unknown) => error);
    await server.killedAndBack(1_000);
    expect(await broken).toBeInstanceOf(Error);
    const after = await Sandbox.connect(before.sandboxId, access());
    expect((await after.runCode('x', { context })).text).toBe('5');
    expect(await after.runCode('y')).toMatchObject({ text: '7', executionCount: 3 });
    expect((await after.listCodeContexts()).map(({ id }) => id).toSorted()).toEqual(
      [context.id, 'python-default'].toSorted(),
    );
    await after.kill();
  },
);
