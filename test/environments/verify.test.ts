import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session, Verification } from '../../src/domains/environments/index.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { environmentsWorld, expectGone, type World } from './world.ts';

const SLOTS = 'starter__free-slots-2';

let world: World;
let account: AccountId;
let gold: string;
beforeAll(async () => {
  world = await environmentsWorld();
  account = await world.account();
  const { samples } = await world.environments.samples(world.system(), { dataset: 'starter', search: 'free-slots' });
  gold = samples[0]?.text.patch ?? '';
}, 900_000);
afterAll(() => world.close());

async function worked<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
  const session = await world.ready(account, SLOTS);
  const result = await work(session);
  await world.environments.close(world.op(account), session.id);
  await expectGone(world, account, session.id);
  return result;
}

/** What came of it after a script has run in a session. */
const after = (script: string): Promise<Verification> =>
  worked(async (session) => {
    const { exitCode, stderr } = await world.run(account, session, script);
    expect({ exitCode, stderr: stderr.kept.toString() }).toMatchObject({ exitCode: 0 });
    return world.graded(account, session);
  });

const applied = () => `git apply <<'PATCH'\n${gold}PATCH\n`;

describe('a verification', () => {
  test('of nothing fails, of the solution succeeds, each bound to what was graded', async () => {
    const [before, done] = await worked(async (session) => {
      const first = await world.graded(account, session);
      await world.run(account, session, applied());
      return [first, await world.graded(account, session)] as const;
    });
    expect(before).toMatchObject({ state: 'completed', result: { isSuccess: false } });
    expect(before.result?.failures.length).toBeGreaterThan(5);
    expect(done).toMatchObject({ state: 'completed', result: { isSuccess: true, failures: [], skips: [] } });
    expect(done.workspaceSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(done.workspaceSha256).not.toBe(before.workspaceSha256);
    expect(done.testsSha256).toBe(before.testsSha256);
    expect((await world.machines.list(world.system())).filter(({ purpose }) => purpose.startsWith('verif'))).toEqual(
      [],
    );
  });

  test('beside others, and beside commands, that see nothing of the tests', async () => {
    await worked(async (session) => {
      await world.run(account, session, applied());
      const watching = world.run(
        account,
        session,
        `for i in $(seq 40); do sudo find / -xdev \\( -name hidden.py -o -name lab.py -o -name gold.patch \\) -not -path '/proc/*'; sleep 0.1; done`,
      );
      const graded = await Promise.all([1, 2, 3].map(() => world.graded(account, session)));
      expect(graded.map(({ result }) => result?.isSuccess)).toEqual([true, true, true]);
      expect((await watching).stdout.kept.toString()).toBe('');
      expect((await world.environments.session(world.op(account), session.id)).state).toBe('ready');
    });
  });

  test('whose session ends meanwhile has an end', async () => {
    const session = await world.ready(account, SLOTS);
    const { verification } = await world.environments.verify(world.op(account), session.id);
    await world.environments.close(world.op(account), session.id);
    await world.runDue();
    const seen = await expectGone(world, account, session.id);
    expect(seen.state).toBe('closed');
    await expect
      .poll(
        async () =>
          (await world.environments.verification(world.op(account), session.id, verification.id)).verification.state,
        { timeout: 60_000 },
      )
      .toMatch(/completed|error/);
  });
});

/** A report that says what a good one says. */
const REPORT = `<testsuite>$(for t in Free::test_a_whole_day; do echo "<testcase classname='Free' name='test_a_whole_day'/>"; done)</testsuite>`;

test('a solution is one also beside a runner that was replaced and a process that stays', async () => {
  const runner = `printf '#!/bin/sh\\nexit 1\\n' | sudo tee /usr/bin/python3 > /dev/null`;
  const staying = `sudo nohup sh -c 'while :; do rm -rf /tests /logs; sleep 0.1; done' > /dev/null 2>&1 & sleep 0.2`;
  expect(await after(`${applied()}${runner}\n${staying}`)).toMatchObject({ result: { isSuccess: true } });
});

describe('nothing is solved by', () => {
  test.each([
    [
      'another test runner',
      `sudo tee /usr/local/bin/python3 > /dev/null <<'X'
#!/bin/sh
mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; exit 0
X
sudo chmod +x /usr/local/bin/python3; sudo cp /usr/local/bin/python3 /usr/bin/python3`,
    ],
    [
      'reports of its own',
      `sudo mkdir -p /logs/verifier && echo "${REPORT}" | sudo tee /logs/verifier/report.xml report.xml test-results.xml > /dev/null
echo 1 | sudo tee /logs/verifier/reward.txt > /dev/null`,
    ],
    [
      'tests of its own',
      `mkdir -p tests && echo 'exit 0' > tests/test.sh; sudo mkdir -p /tests; echo 'exit 0' | sudo tee /tests/test.sh`,
    ],
    [
      'a link in the place of the reports',
      `mkdir mine; sudo ln -sfn /free-slots/mine /logs; ln -s / logs; ln -sf /tests/report.py report.xml`,
    ],
    [
      'a process that stays',
      `sudo nohup sh -c 'while :; do mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; sleep 0.1; done' > /dev/null 2>&1 & sleep 0.2`,
    ],
    [
      'modules in the place of those of the runner',
      `for m in unittest json sitecustomize usercustomize subprocess xml lab report hidden; do echo 'import os; os._exit(0)' > $m.py; done
echo 'import os; os._exit(0)' | sudo tee /usr/lib/python3/dist-packages/sitecustomize.py`,
    ],
    [
      'code that reaches for the verifier when it is run',
      `cat > slots.py <<'X'
import os, subprocess
def tried(work):
    try: return work()
    except Exception: pass
tried(lambda: os.makedirs('/logs/verifier'))
tried(lambda: open('/logs/verifier/reward.txt', 'w').write('1'))
tried(lambda: open('/tests/hidden.py', 'w').write(''))
tried(lambda: print(open('/tests/hidden.py').read()))
tried(lambda: subprocess.run(['sudo', '-n', 'sh', '-c', 'echo 1 > /logs/verifier/reward.txt; killall python3'], capture_output=True))
tried(lambda: subprocess.run(['kill', '-9', str(os.getppid())], capture_output=True))
def free_slots(*given): return []
def split(*given): os._exit(0)
X`,
    ],
    ['a workspace that is a link', `cd /; sudo rm -rf /free-slots; sudo ln -s /etc /free-slots; cd /free-slots`],
    ['no workspace at all', `cd /; sudo rm -rf /free-slots`],
    ['a tar that tells lies', `sudo cp /bin/cat /bin/tar`],
  ])('%s', async (_what, script) => {
    const verification = await after(script);
    expect(verification.result?.isSuccess ?? false).toBe(false);
    expect(verification.state).toMatch(/completed|error/);
  });
});
