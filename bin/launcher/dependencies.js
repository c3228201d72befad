import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { alone } from './lock.js';
import { step } from './progress.js';

/** Written after an installation that came to its end: the hash of the lock file that it was made from. */
const STAMP = '.freehold-lock-hash';
/** Ends npm when we are killed: it would go on writing while the next start installs. */
const SETPRIV = '/usr/bin/setpriv';
/** What `setpriv`, like a shell, ends with where there is no such program. */
const NOT_FOUND = 127;
const NO_NPM = 'The dependencies are missing and npm is not installed: install Node.js with npm.';

/**
 * Installs the dependencies where they are missing, half installed, or of another lock file.
 *
 * @param {string} repository
 */
export async function ensureDependencies(repository) {
  if (await isInstalled(repository)) return;
  await alone(`dependencies of ${repository}`, async () => {
    if (!(await isInstalled(repository))) await step('installing dependencies', () => install(repository));
  });
}

/** @param {string} repository */
async function isInstalled(repository) {
  const lock = await readFile(path.join(repository, 'package-lock.json'), 'utf8');
  const stamp = await readFile(stampFile(repository), 'utf8').catch(() => undefined);
  if (stamp === hash(lock)) return true;
  if (!(await matchesLock(repository, lock))) return false;
  await writeStamp(repository, lock);
  return true;
}

/**
 * Somebody may have run `npm ci` by hand. npm writes its own record of what is installed when it has come to its end.
 *
 * @param {string} repository @param {string} lock
 */
async function matchesLock(repository, lock) {
  const record = await readFile(path.join(repository, 'node_modules', '.package-lock.json'), 'utf8').catch(
    () => undefined,
  );
  if (record === undefined) return false;
  const [wanted, found] = [lock, record].map((text) => JSON.parse(text).packages);
  const names = Object.keys(wanted).filter((name) => name !== '' && wanted[name].link !== true);
  return names.every((name) => (found[name] ? isSame(found[name], wanted[name]) : wanted[name].optional === true));
}

/** @typedef {{ version: string, integrity?: string }} Package */
/** @param {Package} one @param {Package} other */
const isSame = (one, other) => one.version === other.version && one.integrity === other.integrity;

/** `npm ci` starts by removing what is there, so an interrupted one leaves no stamp. @param {string} repository */
async function install(repository) {
  const lock = await readFile(path.join(repository, 'package-lock.json'), 'utf8');
  // Nothing of ours needs an install script of a dependency, so none may run.
  await npm(repository, ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund']);
  await writeStamp(repository, lock);
}

/** @param {string} repository @param {string} lock */
async function writeStamp(repository, lock) {
  await writeFile(stampFile(repository), hash(lock)).catch((error) => {
    if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code)) throw error; // a checkout that is not ours works without
  });
}

/** @param {string} repository */
const stampFile = (repository) => path.join(repository, 'node_modules', STAMP);

/** @param {string} text */
const hash = (text) => createHash('sha256').update(text).digest('hex');

/** @param {string} repository @param {string[]} args @returns {Promise<void>} */
function npm(repository, args) {
  const own = process.env.npm_execpath;
  const command = own?.endsWith('.js') ? [process.execPath, own] : ['npm'];
  const [program, ...first] = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...command] : command;
  const env = { ...process.env, npm_config_loglevel: 'error', npm_config_dry_run: 'false' };
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, ...args], { cwd: repository, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const stop = endWithUs(child);
    child.on('error', () => reject(new Error(NO_NPM)));
    child.on('close', (code, signal) => {
      stop();
      if (code === 0) resolve();
      else if (code === NOT_FOUND) reject(new Error(NO_NPM));
      else
        reject(
          new Error(`The dependencies could not be installed (npm ended with ${signal ?? code}):\n${output.trim()}`),
        );
    });
  });
}

/**
 * An interrupt ends the installation too, rather than leaving it to go on unseen.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
function endWithUs(child) {
  const signals = /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP']);
  const forward = (/** @type {NodeJS.Signals} */ name) => child.kill(name);
  for (const name of signals) process.on(name, forward);
  return () => signals.forEach((name) => process.off(name, forward));
}
