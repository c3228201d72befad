import { expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { newMachineId } from './host.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();

/** Somebody who is at it for longer than anybody waits for him, and then fails. */
function slowMaker() {
  const [{ promise: begun, resolve: begin }, { promise: end, resolve: fail }] = [
    Promise.withResolvers<void>(),
    Promise.withResolvers<void>(),
  ];
  const maker = world.over({
    create: async ({ id }) => {
      world.driver.present.set(id, 'running');
      begin();
      await end;
      throw new Error('too late');
    },
  });
  return { maker, begun, fail };
}

test('a maker that was taken for dead does not remove the machine that another has made in his place', async () => {
  const id = newMachineId();
  const { maker, begun, fail } = slowMaker();
  const slow = maker.start(world.op(), world.request({ id })).catch((error: Error) => error.message);
  await begun;
  world.clock.ahead = MINUTE;
  expect(await world.machines.start(world.op(), world.request({ id }))).toMatchObject({ state: 'running' });
  fail();
  expect(await slow).toBe('too late');
  expect(await world.machines.get(world.op(), id)).toMatchObject({ state: 'running' });
  expect(world.driver.present.get(id)).toBe('running');
});

test('a sweep that has seen an abandoned machine leaves it to who begins to make it once more in that moment', async () => {
  const id = newMachineId();
  const { maker, begun, fail } = slowMaker();
  const slow = maker.start(world.op(), world.request({ id })).catch((error: Error) => error.message);
  await begun;
  world.clock.ahead = MINUTE;
  const sweeper = world.over({
    // It is asked about what it has used before it is ended.
    usage: async (asked) => {
      await world.machines.start(world.op(), world.request({ id }));
      return world.driver.usage(asked);
    },
  });
  await sweeper.sweep(world.op());
  expect(await world.machines.get(world.op(), id)).toMatchObject({ state: 'running' });
  expect(world.driver.present.get(id)).toBe('running');
  fail();
  await slow;
});
