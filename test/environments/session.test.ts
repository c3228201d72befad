import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messageOf, type Interaction } from '../../src/domains/environments/index.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { environmentsWorld, expectGone, type World } from './world.ts';

const CSV = 'starter__csv-rows-1';

let world: World;
beforeAll(async () => {
  world = await environmentsWorld();
}, 900_000);
afterAll(() => world.close());

const out = ({ stdout }: Interaction) => stdout.kept.toString();

describe('a session', () => {
  test('has the repository where the contract says, as its user, with a commit', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    const seen = await world.run(
      account,
      session,
      'pwd; whoami; ls; git log --oneline | wc -l; git status --short; ls /tests /solution',
    );
    expect(out(seen)).toBe('/csv-rows\nuser\nREADME.md\nrows.py\n1\n');
    expect(seen).toMatchObject({ state: 'completed', exitCode: 2 });
    await world.environments.close(world.op(account), session.id);
    await expectGone(world, account, session.id);
  });
});

describe('a command', () => {
  test('tells its exit code, its output and what it says of errors', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    const run = (command: string, seconds?: number) => world.run(account, session, command, seconds);
    expect(await run('echo out; echo err >&2; exit 3')).toMatchObject({
      exitCode: 3,
      state: 'completed',
      message: undefined,
    });
    const cut = await run('echo begun; sleep 30', 1);
    expect([cut.exitCode, out(cut), cut.message]).toEqual([124, 'begun\n', 'The command was ended after 1 seconds']);
    const much = await run('head -c 1500000 /dev/zero; echo e >&2');
    expect([much.stdout.kept.length, much.stdout.bytes, much.exitCode]).toEqual([1_000_000, 1_500_000, 0]);
    expect(messageOf(much)).toBe('stdout was cut after 1000000 of 1500000 bytes');
    expect((await run('kill -9 $$')).exitCode).toBe(137);
    const both = await Promise.all([run('sleep 1; echo a'), run('sleep 1; echo b')]);
    expect(both.map(out)).toEqual(['a\n', 'b\n']);
    await world.environments.close(world.op(account), session.id);
  });

  test('that runs when its session is closed has an end', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    const begun = await world.environments.exec(world.op(account), session.id, {
      command: 'sleep 60',
      timeoutSeconds: 60,
    });
    await world.environments.close(world.op(account), session.id);
    expect(await world.environments.interaction(world.op(account), session.id, begun.id)).toMatchObject({
      state: 'error',
      exitCode: 137,
    });
    await expect(world.run(account, session, 'true')).rejects.toMatchObject({ code: 'conflict' });
    await expectGone(world, account, session.id);
  });
});

describe('money', () => {
  test('is taken by the second from when the machine was ready, and given back', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    expect((await world.statement(account))[0]).toMatchObject({ type: 'session_charge', amount: -2_500n });
    world.clock.advance(150_000);
    await world.runDue();
    await world.environments.close(world.op(account), session.id);
    const { meter } = await expectGone(world, account, session.id);
    const seconds = BigInt(Math.ceil(meter.usedMs / 1_000));
    expect(seconds).toBeGreaterThanOrEqual(150n);
    const changes = await world.statement(account);
    const spent = changes
      .filter(({ type }) => type.startsWith('session_'))
      .reduce((sum, { amount }) => sum - amount, 0n);
    expect(spent).toBe((seconds * 150_000n + 3_599n) / 3_600n);
  });

  test('that is not there opens nothing, and that comes to its end ends the session', async () => {
    const poor = await world.account(0);
    const request = { dataset: 'starter', sampleId: CSV, ttlMinutes: 30 };
    await expect(world.environments.open(world.op(poor), request)).rejects.toMatchObject({ code: 'unaffordable' });
    const account = await world.account(1);
    const session = await world.ready(account, CSV);
    world.clock.advance(5 * MINUTE);
    await world.runDue();
    expect(await expectGone(world, account, session.id)).toMatchObject({
      state: 'terminated',
      error: { code: 'insufficient_balance' },
    });
    expect(await world.balance(account)).toBe(0);
  });
});

describe('of two at once', () => {
  test('who close a session one ends it, and unused time is given back once', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    await Promise.all([1, 2, 3, 4].map(() => world.environments.close(world.op(account), session.id)));
    await expectGone(world, account, session.id);
    const changes = (await world.statement(account)).filter(({ type }) => type.startsWith('session_'));
    expect(changes.map(({ type }) => type)).toEqual(['session_refund', 'session_charge']);
  });

  test('who take what is due it is taken once', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    world.clock.advance(130_000);
    await Promise.all([world.runDue(), world.runDue(), world.runDue()]);
    const paid = (await world.statement(account)).filter(({ type }) => type === 'session_charge');
    expect(paid.reduce((sum, { amount }) => sum - amount, 0n)).toBe(7_500n);
    await world.environments.close(world.op(account), session.id);
    await expectGone(world, account, session.id);
  });

  test('who open sessions no more are opened than an account may have, nor than it can pay', async () => {
    const account = await world.account(1);
    const request = { dataset: 'starter', sampleId: CSV, ttlMinutes: 5 };
    const opened = await Promise.all(
      Array.from({ length: 6 }, () => world.environments.open(world.op(account), request)),
    );
    const ended = await Promise.all(opened.map(({ id }) => world.settled(account, id)));
    // A cent pays the first minute of four.
    expect(ended.filter(({ state }) => state === 'ready')).toHaveLength(4);
    const errors = ended.flatMap(({ error }) => (error ? [error.code] : []));
    expect(errors).toEqual(['insufficient_balance', 'insufficient_balance']);
    for (const { id } of opened) {
      await world.environments.close(world.op(account), id);
      await expectGone(world, account, id);
    }
  });
});

describe('time', () => {
  test('that is over terminates a session, and extending gives it more', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV, { ttlMinutes: 2 });
    await world.environments.extend(world.op(account), session.id, 4);
    world.clock.advance(3 * MINUTE);
    await world.runDue();
    expect(await world.settled(account, session.id)).toMatchObject({ state: 'ready' });
    world.clock.advance(2 * MINUTE);
    await world.runDue();
    const ended = await expectGone(world, account, session.id);
    expect(ended).toMatchObject({ state: 'terminated', error: undefined });
    expect(ended.endedAt).toEqual(ended.expiresAt);
  });

  test('in which nothing is done ends a session that asked for that', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV, { idleMinutes: 2 });
    world.clock.advance(90_000);
    await world.run(account, session, 'true');
    world.clock.advance(90_000);
    await world.runDue();
    expect(await world.settled(account, session.id)).toMatchObject({ state: 'ready' });
    world.clock.advance(60_000);
    await world.runDue();
    expect(await expectGone(world, account, session.id)).toMatchObject({
      state: 'terminated',
      error: { code: 'idle_timeout' },
    });
  });
});

describe('files', () => {
  test('have a text replaced that is there exactly once', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    const replace = (path: string, wanted: string, insert: string) =>
      world.environments.replace(world.op(account), session.id, { path, replace: wanted, insert });
    await world.run(account, session, "printf 'a b a\\n\\xff' > t; chmod 751 t");
    expect(await replace('t', 'b', 'B$&\n')).toEqual({ success: true, message: 'Replaced the text in t' });
    expect(await replace('/csv-rows/t', 'x', 'y')).toMatchObject({
      success: false,
      message: expect.stringContaining('not found'),
    });
    expect(await replace('t', 'a', 'y')).toMatchObject({ success: false, message: expect.stringContaining('2 times') });
    expect(await replace('none', 'a', 'y')).toEqual({ success: false, message: 'none: No such file or directory' });
    expect(await replace('/csv-rows', 'a', 'y')).toMatchObject({ success: false });
    expect(await replace('/etc/passwd', 'root:x', 'y')).toMatchObject({
      success: false,
      message: '/etc/passwd: Permission denied',
    });
    const seen = await world.run(
      account,
      session,
      'od -c t | head -2; stat -c %a t; git add t; git commit -qm x; rm -rf .git',
    );
    expect(out(seen)).toContain('751');
    const patch = (await world.environments.diff(world.op(account), session.id)).toString();
    expect(patch).toMatch(/^diff --git a\/t b\/t\nnew file mode 100755/);
    await world.environments.close(world.op(account), session.id);
  });

  test('go along into a fork, processes do not', async () => {
    const account = await world.account();
    const session = await world.ready(account, CSV);
    await world.run(account, session, 'echo mine > kept; sync; (sleep 300 &) ; true');
    const asked = await world.environments.fork(world.op(account), session.id, { ttlMinutes: 5 });
    const fork = await world.settled(account, asked.id);
    expect(fork).toMatchObject({ state: 'ready', forkedFrom: session.id });
    expect(out(await world.run(account, fork, 'cat kept; pgrep -c sleep; echo other > kept'))).toBe('mine\n0\n');
    expect(out(await world.run(account, session, 'cat kept'))).toBe('mine\n');
    expect((await world.machines.listSnapshots(world.system(), { accountId: account, limit: 10 })).rows).toEqual([]);
    for (const { id } of [session, fork]) await world.environments.close(world.op(account), id);
    await expectGone(world, account, fork.id);
  });
});
