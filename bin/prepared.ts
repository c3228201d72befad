/** Prepares this host for a command and then becomes that command. */
import { setUp, type Wants } from './set-up.ts';

type Command = { file: string; host: 'prepared' | 'as it is'; wants?: Wants };

const COMMANDS: Record<string, Command> = {
  start: { file: '../src/main.ts', host: 'prepared' },
  // The machine tests run on every runtime, the page tests in a browser, the README's tour calls curl, and samples
  // whose tests are pytest's bring it along.
  test: {
    file: './test.ts',
    host: 'prepared',
    wants: {
      runtimes: ['crun', 'runc'],
      programs: { chromium: 'chromium', curl: 'curl', 'py.test-3': 'python3-pytest', rsync: 'rsync' },
    },
  },
  check: { file: './test.ts', host: 'as it is' },
  // Against a server that runs elsewhere, the demo is a client and no more.
  demo: { file: './demo.ts', host: process.env['FREEHOLD_URL'] ? 'as it is' : 'prepared' },
  bench: { file: '../bench/run.ts', host: 'prepared' },
};

const [name = '', ...rest] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command) throw new Error(`There is no command ${name}.`);
if (command.host === 'as it is' || (await setUp(command.wants))) {
  const entry = new URL(command.file, import.meta.url);
  process.argv = [process.execPath, entry.pathname, ...(name === 'check' ? ['--checks-only'] : rest)];
  await import(entry.href);
} else {
  process.exitCode = 1;
}
