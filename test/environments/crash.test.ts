import { afterAll, beforeAll, expect, test } from 'vitest';
import { uuidv7 } from '../../src/kernel/ids.ts';
import { eventually } from '../tasks/world.ts';
import { environmentsWorld, expectGone, type World } from './world.ts';

const SLOTS = 'starter__free-slots-2';

let world: World;
beforeAll(async () => {
  world = await environmentsWorld();
}, 900_000);
afterAll(() => world.close());

test('a session that cannot be billed keeps no other from being billed and ended', async () => {
  const [bad, account] = [await world.account(), await world.account()];
  const broken = await world.ready(bad, SLOTS);
  const good = await world.ready(account, SLOTS, { ttlMinutes: 2 });
  // Whoever pays for it has no wallet.
  await world.db.query(`update env_sessions set account_id = $2 where id = $1`, [broken.id, uuidv7(new Date())]);
  world.clock.advance(61_000);
  await world.runDue();
  const seen = () => world.environments.session(world.op(account), good.id);
  await eventually(seen, ({ transfers }) => transfers === 2);
  world.clock.advance(61_000);
  await world.runDue();
  expect(await expectGone(world, account, good.id)).toMatchObject({ state: 'terminated' });
  await world.db.query(`update env_sessions set account_id = $2 where id = $1`, [broken.id, bad]);
  await world.environments.close(world.op(bad), broken.id);
  await expectGone(world, bad, broken.id);
});

test('a command and a verification that a stopping server had are carried on by the next one, with nothing lost', async () => {
  const account = await world.account();
  const session = await world.ready(account, SLOTS);
  const command = 'for i in $(seq 1 60); do echo line $i; sleep 0.1; done; exit 4';
  const begun = await world.environments.exec(world.op(account), session.id, { command, timeoutSeconds: 60 });
  const seen = () => world.environments.interaction(world.op(account), session.id, begun.id);
  await eventually(seen, ({ stdout }) => stdout.bytes > 20);
  const { verification } = await world.environments.verify(world.op(account), session.id);
  await eventually(
    async () => (await world.environments.verification(world.op(account), session.id, verification.id)).verification,
    ({ state }) => state !== 'pending',
  );
  await world.stop();
  await world.another();
  const ended = await eventually(seen, ({ exitCode }) => exitCode !== undefined);
  expect(ended).toMatchObject({ exitCode: 4, state: 'completed' });
  expect(ended.stdout.kept.toString()).toBe(Array.from({ length: 60 }, (_, index) => `line ${index + 1}\n`).join(''));
  const graded = await eventually(
    async () => (await world.environments.verification(world.op(account), session.id, verification.id)).verification,
    ({ endedAt }) => endedAt !== undefined,
  );
  expect(graded).toMatchObject({ state: 'completed', result: { isSuccess: false } });
  await world.environments.close(world.op(account), session.id);
  await expectGone(world, account, session.id);
  const left = (await world.machines.list(world.system())).filter(({ purpose }) => purpose.startsWith('verification'));
  expect(left).toEqual([]);
});

test('a session whose machine is gone ended with it, as an error, and its command as a failure of the platform', async () => {
  const account = await world.account();
  const session = await world.ready(account, SLOTS);
  const begun = await world.environments.exec(world.op(account), session.id, {
    command: 'sleep 60',
    timeoutSeconds: 90,
  });
  const seen = () => world.environments.interaction(world.op(account), session.id, begun.id);
  await eventually(seen, ({ startedAt }) => startedAt !== undefined);
  await world.machines.takeSamples(world.system());
  await world.machines.destroy(world.system(), session.machineId);
  expect(await eventually(seen, ({ exitCode }) => exitCode !== undefined)).toMatchObject({
    exitCode: -1000,
    state: 'error',
    message: expect.stringContaining('machine'),
  });
  world.clock.advance(61_000);
  await eventually(
    () => world.environments.session(world.op(account), session.id),
    ({ state }) => state === 'error',
  );
  const gone = await expectGone(world, account, session.id);
  expect(gone).toMatchObject({ error: { code: 'machine_lost' } });
  // Nobody pays for the minute in which nobody looked.
  expect(gone.endedAt?.getTime()).toBeLessThan(world.clock.now().getTime() - 60_000);
});

test('a session that is closed while it is being created leaves no machine', async () => {
  const account = await world.account();
  const request = { dataset: 'starter', sampleId: SLOTS, ttlMinutes: 5 };
  for (let i = 0; i < 4; i++) {
    const { id } = await world.environments.open(world.op(account), request);
    await new Promise((resolve) => setTimeout(resolve, i * 40));
    await world.environments.close(world.op(account), id);
    await expectGone(world, account, id);
  }
  await eventually(
    () => world.machines.list(world.system()),
    (machines) => machines.length === 0,
  );
});
