import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createSkills } from '../../src/domains/grid/skills/index.ts';
import { shipmentOf } from '../../src/domains/grid/skills/programs.ts';
import type { HouseSkill } from '../../src/domains/grid/skills/skill.ts';
import type { Machines } from '../../src/domains/machines/index.ts';
import { nearestTck } from '../../src/domains/grid/money.ts';
import { DAY, HOUR, SECOND } from '../../src/kernel/time.ts';
import { createLog } from '../../src/platform/log.ts';
import { machinesWorld } from '../machines/machines-world.ts';

const SKILLS_FOLDER = join(import.meta.dirname, '../../skills');
const HOSTILE: HouseSkill = {
  id: 'hostile',
  name: 'Hostile',
  description: '',
  category: 'analysis',
  price: nearestTck(1),
  example: {},
  packages: {},
};
/** Long enough for a run on a host that is busy; what takes longer was made to. */
const RUN_LIMIT_MS = 8 * SECOND;

const world = machinesWorld();
let programs: string;
let skills: ReturnType<typeof createSkills>;

/** In a process of its own, over machines some of whose verbs may be others. */
const open = (otherwise: Partial<Machines> = {}) =>
  createSkills({
    ...world,
    machines: { ...world.machines, ...otherwise },
    db: world.database.db,
    log: createLog({ level: 'silent' }),
    place: world.host.driver.place,
    search: undefined,
    internalKey: undefined,
    programs,
    skills: [HOSTILE],
    runLimitMs: RUN_LIMIT_MS,
  });
const run = (task: string, from = skills) => from.execute(world.op(), 'hostile', { task });
const look = async (from = skills) => (await from.probe(world.op(), 'hostile')).standing;
const machines = async () => (await world.machines.list(world.op())).map(({ id }) => id);

/** Of a machine that is no more. */
const remember = (version: string, state: string) =>
  world.database.db.transact((tx) =>
    tx.query(
      `insert into grid_skill_machines (skill, place, machine_id, version, state, state_at)
       values ('hostile', $1, 'mch_00000000000000000000000000000000', $2, $3, $4)`,
      [world.host.driver.place, version, state, world.clock.now()],
    ),
  );

beforeAll(async () => {
  programs = await mkdtemp(join(tmpdir(), 'freehold-programs-'));
  for (const name of ['server.ts', 'run.ts', 'input.ts']) await cp(join(SKILLS_FOLDER, name), join(programs, name));
  await cp(join(import.meta.dirname, 'hostile'), join(programs, 'hostile'), { recursive: true });
});
beforeEach(() => void (skills = open()));
afterEach(async () => {
  for (const id of await machines()) await world.machines.destroy(world.op(), id);
});
afterAll(() => rm(programs, { recursive: true, force: true }));

describe('a run', { timeout: 120_000 }, () => {
  test.each(['loop', 'hang'])(
    'that does not end (%s) is a timeout after three tries, and holds up nobody',
    async (task) => {
      expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
      const before = await machines();
      const endless = run(task);
      const others = await Promise.all([run('echo'), run('echo'), run('echo')]);
      expect(others.map(({ kind }) => kind)).toEqual(['done', 'done', 'done']);
      expect(await endless).toMatchObject({ kind: 'timeout', attempts: 3 });
      expect(await machines()).toEqual(before);
    },
  );

  test.each(['crash', 'exit', 'memory', 'babble'])(
    'that fails (%s) is tried three times, and ends alone',
    async (task) => {
      const [failing, other] = await Promise.allSettled([run(task), run('echo')]);
      expect(failing).toMatchObject({ reason: { code: 'at_capacity', message: 'Skill not available' } });
      expect(other).toMatchObject({ value: { kind: 'done' } });
      const before = await machines();
      expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
      expect(await machines()).toEqual(before);
    },
  );

  test('leaves nothing for the next, whatever takes it over, and reaches nothing', async () => {
    expect(await run('leave')).toMatchObject({ kind: 'done', result: [] });
    const looked = await run('look');
    expect(looked).toMatchObject({
      kind: 'done',
      attempts: 1,
      result: { sleeping: '', root: false, killed: false, outside: false },
    });
    expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
  });

  test('may not fill the machine with processes, and none of them outlives it', async () => {
    const [, other] = await Promise.allSettled([run('multiply'), run('echo')]);
    expect(other).toMatchObject({ value: { kind: 'done' } });
    expect(await run('look')).toMatchObject({ kind: 'done', result: { sleeping: '' } });
  });

  test('may have a large result, and none that is larger than anybody can use', async () => {
    const large = await run('large');
    const length = large.kind === 'done' ? String(large.result).length : 0;
    expect([large.attempts, length]).toEqual([1, 3_500_000]);
    expect(await run('tooLarge')).toMatchObject({ kind: 'refused', details: expect.stringContaining('too large') });
  });

  test('whose caller has gone is not tried again', async () => {
    await run('echo');
    const gone = AbortSignal.timeout(SECOND);
    const left = skills.execute({ ...world.op(), signal: gone }, 'hostile', { task: 'hang' });
    await expect(left).rejects.toThrow('timeout');
  });
});

describe('the machine of a skill', { timeout: 120_000 }, () => {
  test('is one, however many call it first in however many processes', async () => {
    const other = open();
    const replies = await Promise.all([run('echo'), run('echo', other), run('echo'), run('echo', other)]);
    expect(replies.map(({ kind }) => kind)).toEqual(['done', 'done', 'done', 'done']);
    expect(await machines()).toHaveLength(1);
    const [{ purpose, network } = { purpose: '', network: '' }] = await world.machines.list(world.op());
    expect({ purpose, network }).toEqual({ purpose: 'skill:hostile', network: 'none' });
  });

  test('is given back when nobody has called it for an hour, kept as long as somebody does, and made anew', async () => {
    await run('echo');
    const [first] = await machines();
    world.clock.ahead = 0.75 * HOUR;
    await run('echo');
    world.clock.ahead = 1.5 * HOUR;
    await world.machines.sweep(world.op());
    expect(await machines()).toEqual([first]);
    world.clock.ahead = 2 * HOUR;
    await world.machines.sweep(world.op());
    expect(await machines()).toEqual([]);
    expect(await skills.standing(world.op(), 'hostile')).toBe('resting');
    expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
  });

  test('is another for a server of another version, and neither ends the other’s', async () => {
    await run('echo');
    const [own] = await machines();
    const file = join(programs, 'hostile/more.txt');
    await writeFile(file, 'more');
    try {
      const other = open();
      for (const each of [other, skills, other, skills])
        expect(await run('echo', each)).toMatchObject({ kind: 'done', attempts: 1 });
    } finally {
      await rm(file);
    }
    const after = await machines();
    expect(after).toHaveLength(2);
    expect(after).toContain(own);
    world.clock.ahead = 2 * HOUR;
    await world.machines.sweep(world.op());
    expect(await machines()).toEqual([]);
  });

  test('of a version that nobody has is forgotten after a week', async () => {
    const versions = () =>
      world.database.db.query<{ version: string }>(`select version from grid_skill_machines order by version`);
    const { version } = await shipmentOf(programs, HOSTILE);
    await remember('another', 'ready');
    await run('echo');
    expect(await versions()).toHaveLength(2);
    for (const id of await machines()) await world.machines.destroy(world.op(), id);
    world.clock.ahead = 8 * DAY;
    await run('echo');
    expect(await versions()).toEqual([{ version }]);
  });

  test('that a process died over while it started it is started by another', async () => {
    await remember((await shipmentOf(programs, HOSTILE)).version, 'starting');
    expect(await skills.standing(world.op(), 'hostile')).toBe('starting');
    world.clock.ahead = 2 * 60 * SECOND;
    expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
  });

  test('that cannot be made leaves nothing, is told as failed, and is made at the next call', async () => {
    const stuck = open({ writeFile: () => Promise.reject(new Error('the disk is full')) });
    await expect(run('echo', stuck)).rejects.toMatchObject({ code: 'at_capacity', message: 'Skill not available' });
    expect(await machines()).toEqual([]);
    expect(await skills.standing(world.op(), 'hostile')).toBe('failed');
    expect(await run('echo')).toMatchObject({ kind: 'done', attempts: 1 });
    expect(await look()).toBe('ready');
  });
});

describe('a look at the health of a skill, which anybody may ask for,', { timeout: 120_000 }, () => {
  /** Machines that were asked for, whatever became of them. */
  const counted = (otherwise: Partial<Machines> = {}) => {
    const started: string[] = [];
    const start: Machines['start'] = (op, wish) => {
      started.push(wish.purpose);
      return world.machines.start(op, wish);
    };
    return { started, from: open({ start, ...otherwise }) };
  };

  test('starts its machine once, however many look at once', async () => {
    const [one, other] = [counted(), counted()];
    const looks = Array.from({ length: 20 }, (_, n) => look(n % 2 ? one.from : other.from));
    expect(new Set(await Promise.all(looks))).toEqual(new Set(['ready']));
    expect([...one.started, ...other.started]).toEqual(['skill:hostile']);
  });

  test('starts it again after a day, and until then tells what came of the last one and when that was', async () => {
    const { started, from } = counted();
    expect(await look(from)).toBe('ready');
    world.clock.ahead = 2 * HOUR;
    await world.machines.sweep(world.op());
    const { standing, triedAt } = await from.probe(world.op(), 'hostile');
    expect(standing).toBe('resting');
    expect(world.clock.now().getTime() - triedAt.getTime()).toBeGreaterThanOrEqual(2 * HOUR);
    expect([await look(from), await machines(), started.length]).toEqual(['resting', [], 1]);
    world.clock.ahead = 25 * HOUR;
    expect([await look(from), started.length]).toEqual(['ready', 2]);
  });

  test('tries what failed again after ten minutes, and not with each look', async () => {
    const { started, from } = counted({ writeFile: () => Promise.reject(new Error('the disk is full')) });
    expect([await look(from), await look(from), started.length]).toEqual(['failed', 'failed', 1]);
    world.clock.ahead = 11 * 60 * SECOND;
    expect([await look(), await machines()]).toEqual(['ready', [expect.any(String)]]);
  });
});
