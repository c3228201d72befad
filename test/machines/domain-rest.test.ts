import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId, type MachineId } from '../../src/kernel/ids.ts';
import { HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import type { ListedMachines } from '../fakes/driver.ts';
import { accountOp } from '../harness/op.ts';
import { SMALL } from './host.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();
const { clock, op, started, over, facts, left } = world;
let machines: Machines;
let driver: ListedMachines;

beforeEach(() => {
  ({ machines, driver } = world);
});

const stateOf = async (id: MachineId) => (await machines.get(op(), id)).state;
const leaseLeft = async (id: MachineId) => (await machines.get(op(), id)).leaseUntil.getTime() - clock.now().getTime();
const near = (value: number, wanted: number) => expect(Math.abs(value - wanted)).toBeLessThan(5 * SECOND);

describe('a machine that rests', () => {
  test('stands still: neither its lease nor its running time goes on, until it is resumed', async () => {
    const id = await started({ leaseMs: 10 * MINUTE });
    clock.ahead = 4 * MINUTE;
    expect(await machines.pause(op(), id)).toMatchObject({ state: 'paused' });
    clock.ahead += 5 * HOUR;
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    expect(await machines.resume(op(), id)).toMatchObject({ state: 'running' });
    near(await leaseLeft(id), 6 * MINUTE);
    clock.ahead += MINUTE;
    await machines.destroy(op(), id);
    const told = await facts(id);
    expect(told.map(({ type }) => type)).toEqual([
      'machine.requested',
      'machine.started',
      'machine.paused',
      'machine.resumed',
      'machine.destroying',
      'machine.destroyed',
    ]);
    near(Number(told[2]?.data['runningMs']), 4 * MINUTE);
    near(Number(told[3]?.data['runningMs']), 4 * MINUTE);
    near(Number(told[5]?.data['runningMs']), 5 * MINUTE);
  });

  test('keeps its disk when it is stopped, and what it used counts on when it is booted', async () => {
    const id = await started();
    expect(await machines.stop(op(), id)).toMatchObject({ state: 'stopped' });
    expect(driver.present.get(id)).toBe('remains');
    clock.ahead = HOUR;
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    expect(await machines.boot(op(), id, { leaseMs: 20 * MINUTE })).toMatchObject({ state: 'running' });
    near(await leaseLeft(id), 20 * MINUTE);
    expect((await machines.usage(op(), id))?.cpuSeconds).toBe(1);
    await machines.destroy(op(), id);
    const told = await facts(id);
    expect(told[0]).toMatchObject({ type: 'machine.requested', data: { limits: SMALL } });
    const once = { cpuSeconds: 0.5, networkReceivedBytes: 3_000, networkSentBytes: 1_000 };
    const twice = { cpuSeconds: 1, networkReceivedBytes: 6_000, networkSentBytes: 2_000 };
    expect(told.slice(2)).toMatchObject([
      { type: 'machine.stopped', data: once },
      { type: 'machine.booted', data: once },
      { type: 'machine.destroying' },
      { type: 'machine.destroyed', data: twice },
    ]);
  });

  test('can be stopped while it is paused, and keeps what was left of its lease all the same', async () => {
    const id = await started({ leaseMs: 10 * MINUTE });
    await machines.pause(op(), id);
    clock.ahead = HOUR;
    await machines.stop(op(), id);
    clock.ahead += HOUR;
    await machines.boot(op(), id);
    near(await leaseLeft(id), 10 * MINUTE);
  });

  test('comes back with the lease that was set while it rested', async () => {
    const id = await started({ leaseMs: 10 * MINUTE });
    await machines.pause(op(), id);
    await machines.setLease(op(), id, new Date(clock.now().getTime() + 2 * MINUTE));
    clock.ahead = HOUR;
    await machines.resume(op(), id);
    near(await leaseLeft(id), 2 * MINUTE);
    await machines.pause(op(), id);
    await machines.extendLease(op(), id, new Date(clock.now().getTime() + 30 * MINUTE));
    clock.ahead += HOUR;
    await machines.resume(op(), id);
    near(await leaseLeft(id), 30 * MINUTE);
  });

  test('takes no commands and says so', async () => {
    const id = await started();
    await machines.pause(op(), id);
    expect(await machines.exec(op(), id, { command: 'true' })).toMatchObject({
      kind: 'lost',
      reason: 'The machine is paused.',
    });
    for (const asked of [
      () => machines.run(op(), id, { command: 'true' }),
      () => machines.stat(op(), id, '/'),
      () => machines.readFile(op(), id, '/etc/hostname', { maxBytes: 10 }),
      () => machines.dial(op(), id, 80),
    ])
      await expect(asked()).rejects.toMatchObject({ code: 'conflict', message: 'The machine is paused.' });
    await machines.stop(op(), id);
    await expect(machines.runs(op(), id)).rejects.toMatchObject({ message: 'The machine is not running.' });
  });

  test('has ended when its host lost it; one that was only frozen there is stopped, with its disk', async () => {
    const [paused, stopped, gone] = [await started(), await started(), await started()];
    await machines.pause(op(), paused);
    await machines.stop(op(), stopped);
    await machines.pause(op(), gone);
    for (const id of [paused, stopped]) driver.present.set(id, 'remains');
    driver.present.delete(gone);
    expect(await machines.adopt(op())).toEqual({ adopted: [paused, stopped], removed: [gone] });
    expect([await stateOf(paused), await stateOf(stopped)]).toEqual(['stopped', 'stopped']);
    expect(await machines.get(op(), gone)).toMatchObject({ state: 'destroyed', endReason: 'lost' });
  });
});

describe('two verbs on one machine', () => {
  test('twice the same has no second effect', async () => {
    const id = await started();
    await Promise.all(Array.from({ length: 5 }, () => machines.pause(op(), id)));
    await machines.pause(op(), id);
    await Promise.all(Array.from({ length: 5 }, () => machines.resume(op(), id)));
    await Promise.all(Array.from({ length: 5 }, () => machines.stop(op(), id)));
    await Promise.all(Array.from({ length: 5 }, () => machines.boot(op(), id)));
    expect(driver.asked).toEqual(['create', 'pause', 'resume', 'stop', 'boot'].map((verb) => `${verb} ${id}`));
    expect(await facts(id)).toHaveLength(6);
  });

  test('happen one after the other, whoever is first', async () => {
    const id = await started();
    const slow = over({
      pause: async (machine) => {
        await new Promise((resolve) => setTimeout(resolve, 150));
        await driver.pause(machine);
      },
    });
    const pausing = slow.pause(op(), id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [, resumed] = await Promise.all([pausing, machines.stop(op(), id)]);
    expect(resumed.state).toBe('stopped');
    expect(driver.asked.slice(1)).toEqual([`pause ${id}`, `stop ${id}`]);
  });

  test('in a state that does not bear it is a conflict, and changes nothing', async () => {
    const id = await started();
    await expect(machines.boot(op(), id).then(() => stateOf(id))).resolves.toBe('running');
    await machines.stop(op(), id);
    for (const asked of [machines.pause, machines.resume])
      await expect(asked(op(), id)).rejects.toMatchObject({ code: 'conflict', message: 'The machine is stopped.' });
    await machines.destroy(op(), id);
    for (const asked of [machines.pause, machines.resume, machines.stop, machines.boot, machines.snapshot])
      await expect(asked(op(), id)).rejects.toMatchObject({ code: 'conflict', message: 'This machine has ended.' });
    expect(driver.present.size).toBe(0);
  });

  test('of which one destroys it: it is destroyed and nothing is left', async () => {
    for (const verb of ['pause', 'stop', 'boot'] as const) {
      const id = await started();
      if (verb === 'boot') await machines.stop(op(), id);
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const slow = over({
        [verb]: async (asked: MachineId & { id: MachineId }) => {
          begun.resolve();
          await goOn.promise;
          driver.present.set(asked.id ?? asked, 'running');
        },
      });
      const resting = slow[verb](op(), id);
      await begun.promise;
      await machines.destroy(op(), id);
      goOn.resolve();
      await expect(resting).rejects.toMatchObject({ code: 'conflict', message: 'This machine has ended.' });
      await machines.sweep(op());
      expect([...driver.present]).toEqual([]);
      expect(await stateOf(id)).toBe('destroyed');
    }
  });

  test("on another account's machine finds nothing", async () => {
    const id = await started();
    const stranger = accountOp(uuidv7(new Date()) as AccountId);
    const until = new Date(Date.now() + HOUR);
    const attempts = [
      machines.pause(stranger, id),
      machines.resume(stranger, id),
      machines.stop(stranger, id),
      machines.boot(stranger, id),
      machines.setRules(stranger, id, { allow: [], deny: [] }),
      machines.setLease(stranger, id, until),
      machines.snapshot(stranger, id),
      machines.samples(stranger, id, { start: clock.now(), end: until }),
      machines.run(stranger, id, { command: 'true' }),
      machines.runs(stranger, id),
      machines.attach(stranger, id, { pid: 1 }),
      machines.signalRun(stranger, id, { pid: 1 }, 9),
      machines.stat(stranger, id, '/'),
      machines.readStream(stranger, id, '/etc/hosts'),
      machines.remove(stranger, id, '/tmp'),
      machines.watch(stranger, id, '/tmp'),
      machines.downloadTree(stranger, id, '/tmp'),
      machines.dial(stranger, id, 80),
      machines.home(stranger, id, 'user'),
    ];
    await Promise.all(attempts.map((attempt) => expect(attempt).rejects.toMatchObject({ code: 'not_found' })));
    expect(driver.asked).toEqual([`create ${id}`]);
  });
});

describe('what a process left that died half-way', () => {
  const cases: [undertaking: string, before: 'running' | 'paused' | 'stopped', host: string, after: string][] = [
    ['pausing', 'running', 'running', 'running'],
    ['pausing', 'running', 'paused', 'paused'],
    ['resuming', 'paused', 'paused', 'paused'],
    ['resuming', 'paused', 'running', 'running'],
    ['stopping', 'running', 'running', 'stopped'],
    ['stopping', 'running', 'remains', 'stopped'],
    ['stopping', 'paused', 'paused', 'stopped'],
    ['booting', 'stopped', 'remains', 'stopped'],
    ['booting', 'stopped', 'running', 'running'],
    ['snapshotting', 'running', 'paused', 'running'],
    ['snapshotting', 'running', 'running', 'running'],
    ['ruling', 'paused', 'paused', 'paused'],
  ];
  const cutShort = async ([undertaking, before, host]: (typeof cases)[number]): Promise<MachineId> => {
    const id = await started();
    if (before === 'paused') await machines.pause(op(), id);
    if (before === 'stopped') await machines.stop(op(), id);
    driver.present.set(id, host as 'running');
    await left(id, undertaking);
    return id;
  };

  test.each(cases)('%s a %s machine that is %s on its host: the sweep makes it %s', async (...what) => {
    const id = await cutShort(what);
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    expect(await stateOf(id)).toBe(what[3]);
    expect(driver.present.get(id)).toBe(what[3] === 'stopped' ? 'remains' : what[3]);
    await machines.stop(op(), id);
    await machines.boot(op(), id);
  });

  test.each(cases)('%s a %s machine that is %s on its host: whoever comes next finds it %s', async (...what) => {
    const id = await cutShort(what);
    await machines.snapshot(op(), id);
    expect(await stateOf(id)).toBe(what[3]);
  });

  test('does not keep a machine alive beyond its lease, if that process lives on', async () => {
    const id = await started();
    const goOn = Promise.withResolvers<void>();
    const busy = over({
      stop: async (machine) => {
        driver.present.set(machine, 'remains');
        await goOn.promise;
      },
    });
    const stopping = busy.stop(op(), id);
    await expect.poll(() => driver.present.get(id)).toBe('remains');
    clock.ahead = 2 * HOUR;
    expect((await machines.sweep(op())).removed).toEqual([id]);
    goOn.resolve();
    await expect(stopping).rejects.toMatchObject({ code: 'conflict' });
  });

  test('is not touched while that process lives, and the machine in its hands is not taken for lost', async () => {
    const id = await started();
    const goOn = Promise.withResolvers<void>();
    const busy = over({
      stop: async (machine) => {
        driver.present.set(machine, 'remains');
        await goOn.promise;
      },
    });
    const stopping = busy.stop(op(), id);
    await expect.poll(() => driver.present.get(id)).toBe('remains');
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    goOn.resolve();
    expect(await stopping).toMatchObject({ state: 'stopped' });
  });
});

test('a machine that a job of long standing wants is not taken for abandoned while it is made', async () => {
  const begun = world.op();
  world.clock.ahead = 5 * MINUTE;
  const slow = world.over({
    create: async (spec, signal) => {
      expect(await world.machines.sweep(world.op())).toEqual({ removed: [] });
      await world.driver.create(spec, signal);
    },
  });
  expect(await slow.start(begun, world.request())).toMatchObject({ state: 'running' });
});

describe('a driver that fails', () => {
  const failing = () => Promise.reject(new Error('no such device'));

  test('leaves the machine as it is on its host, and the caller with a plain word', async () => {
    const id = await started();
    await expect(over({ pause: failing }).pause(op(), id)).rejects.toMatchObject({
      code: 'conflict',
      message: 'The machine could not be paused.',
    });
    expect(await stateOf(id)).toBe('running');
    await machines.stop(op(), id);
    await expect(over({ boot: failing }).boot(op(), id)).rejects.toMatchObject({
      code: 'conflict',
      message: 'The machine could not be started from its disk.',
    });
    expect(await stateOf(id)).toBe('stopped');
    expect(await machines.boot(op(), id)).toMatchObject({ state: 'running' });
  });
});

describe('network rules', () => {
  test('are set, kept for the next start, and refused where they are none', async () => {
    const id = await started({ rules: { allow: ['1.1.1.1'], deny: ['0.0.0.0/0'] } });
    expect((await machines.get(op(), id)).rules).toEqual({ allow: ['1.1.1.1'], deny: ['0.0.0.0/0'] });
    const rules = { allow: ['8.8.8.0/24'], deny: ['0.0.0.0/0'] };
    expect(await machines.setRules(op(), id, rules)).toMatchObject({ rules, state: 'running' });
    await machines.stop(op(), id);
    await machines.setRules(op(), id, { allow: [], deny: ['9.9.9.9'] });
    expect(driver.asked.filter((asked) => asked.startsWith('setRules'))).toHaveLength(1);
    for (const deny of [
      ['example.com'],
      ['1.2.3.4/40'],
      ['1.2.3.4/008'],
      ['::/0'],
      [''],
      ['1.2.3'],
      ['1.1.1.1; flush ruleset'],
    ])
      await expect(machines.setRules(op(), id, { allow: [], deny })).rejects.toMatchObject({ code: 'invalid' });
    const alone = await started({ network: 'none' });
    await expect(machines.setRules(op(), alone, rules)).rejects.toMatchObject({ code: 'conflict' });
  });
});
