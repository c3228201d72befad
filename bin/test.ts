/**
 * `npm test`: every check and every test. The last line is `N passed, N failed`, where each check counts as one.
 * Files that failed are run once more, alone: what fails again has failed, what passes then is named as unsteady.
 * `npm test -- PATTERN` runs only the tests of matching files; `npm run check` only the checks.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SETTING_NAMES } from '../src/config.ts';
import { CHECKS, exitCode, REPOSITORY, runCheck, toolEnvironment } from './checks.ts';
import { countAgain, countTests, failedFiles, unsteadyTests, type Tally } from './tally.ts';

/** Where more files than these fail, it is not the company they were in. */
const MAX_FILES_AGAIN = 3;

const args = process.argv.slice(2);
const checksOnly = args.includes('--checks-only');

const tallies: Tally[] = [];
if (checksOnly || args.length === 0) tallies.push(await runChecks());
if (!checksOnly) tallies.push(await runTests(args));
const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function runChecks(): Promise<Tally> {
  const tally = { passed: 0, failed: 0 };
  for (const check of CHECKS) {
    const started = performance.now();
    const { passed: fine, output } = await runCheck(check);
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    console.log(`${fine ? 'passed' : 'FAILED'}  ${check.name.padEnd(8)} ${seconds.padStart(5)} s`);
    if (!fine) console.log(output.trimEnd());
    tally[fine ? 'passed' : 'failed']++;
  }
  return tally;
}

async function runTests(patterns: string[]): Promise<Tally> {
  const whole = await runVitest(patterns);
  const files = failedFiles(whole.report);
  if (patterns.length > 0 || files.length === 0 || files.length > MAX_FILES_AGAIN)
    return countTests(whole.report, whole.code);
  console.log('\nAgain, alone, what failed while other tests ran beside it:');
  const alone = await runVitest([...files, '--maxWorkers=1']);
  for (const test of unsteadyTests(whole.report, alone.report)) console.log(`UNSTEADY  passed only alone: ${test}`);
  return countAgain(whole.report, alone.report, alone.code);
}

type Run = { code: number | null; report: string | undefined };

async function runVitest(options: string[]): Promise<Run> {
  const folder = await mkdtemp(path.join(tmpdir(), 'freehold-report-'));
  const file = path.join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const code = await startVitest(['run', ...reporters, ...options]);
    return { code, report: await readFile(file, 'utf8').catch(() => undefined) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The channel lets the test run notice when we are killed, so that it does not go on unseen. */
async function startVitest(options: string[]): Promise<number | null> {
  const follow = new URL('launcher/follow-parent.js', import.meta.url).href;
  const vitest = path.join(REPOSITORY, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, ['--import', follow, vitest, ...options], {
    cwd: REPOSITORY,
    env: testEnvironment(),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return exitCode(child);
}

/** The tests set what they need themselves: an operator's settings must not change what they find. */
function testEnvironment(): NodeJS.ProcessEnv {
  const env = toolEnvironment();
  for (const name of SETTING_NAMES) if (name !== 'FREEHOLD_CACHE_DIR') delete env[name];
  return { ...env, NODE_ENV: 'test' };
}
