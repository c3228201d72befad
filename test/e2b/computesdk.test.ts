import { e2b } from '@computesdk/e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startClient, type Client } from './client.ts';

/** The provider takes the address of the server from the environment, as its users set it. */
const NAMES = ['E2B_API_URL', 'E2B_SANDBOX_URL', 'E2B_API_KEY'] as const;
const before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));

let client: Client;
let provider: ReturnType<typeof e2b>;
beforeAll(async () => {
  client = await startClient();
  const { apiKey, apiUrl, sandboxUrl } = client.access;
  Object.assign(process.env, { E2B_API_URL: apiUrl, E2B_SANDBOX_URL: sandboxUrl, E2B_API_KEY: apiKey });
  provider = e2b({ apiKey });
});
afterAll(async () => {
  await client?.stop();
  for (const name of NAMES) if (before[name] === undefined) delete process.env[name];
});

test('ComputeSDK’s provider creates, runs, writes, reads, lists and destroys', async () => {
  const sandbox = await provider.sandbox.create({ metadata: { by: 'computesdk' }, envs: { COLOUR: 'blue' } });
  expect(await sandbox.runCommand('echo hello; echo $COLOUR; exit 3')).toMatchObject({
    stdout: 'hello\nblue\n',
    exitCode: 3,
  });
  expect(await sandbox.runCommand('echo $A; pwd', { env: { A: 'x y' }, cwd: '/tmp' })).toMatchObject({
    stdout: expect.stringContaining('/tmp'),
    exitCode: 0,
  });
  await sandbox.filesystem.mkdir('/home/user/dir');
  await sandbox.filesystem.writeFile('/home/user/dir/a.txt', 'content');
  expect(await sandbox.filesystem.readFile('/home/user/dir/a.txt')).toBe('content');
  expect((await sandbox.filesystem.readdir('/home/user/dir')).map(({ name }) => name)).toEqual(['a.txt']);
  expect(await sandbox.filesystem.exists('/home/user/dir/a.txt')).toBe(true);
  await sandbox.filesystem.remove('/home/user/dir');
  expect(await sandbox.filesystem.exists('/home/user/dir')).toBe(false);
  expect(await sandbox.getUrl({ port: 3_000, protocol: 'http' })).toBe(
    `http://3000-${sandbox.sandboxId}.apps.localhost:${new URL(client.server.url).port}`,
  );
  const again = await provider.sandbox.getById(sandbox.sandboxId);
  expect(again?.sandboxId).toBe(sandbox.sandboxId);
  expect((await provider.sandbox.list()).map(({ sandboxId }) => sandboxId)).toEqual([sandbox.sandboxId]);
  await sandbox.destroy();
  expect(await provider.sandbox.list()).toEqual([]);
});

test('ComputeSDK’s provider begins new sandboxes from a snapshot', async () => {
  const source = await provider.sandbox.create();
  await source.filesystem.writeFile('/home/user/state', 'then');
  const snapshot = await provider.snapshot?.create(source.sandboxId, { name: 'sdk' });
  const next = await provider.sandbox.create({ snapshotId: snapshot?.id });
  expect(await next.filesystem.readFile('/home/user/state')).toBe('then');
  await Promise.all([source.destroy(), next.destroy()]);
});
