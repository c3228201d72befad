import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { start } from './freehold.ts';

let home: string;
beforeAll(async () => void (home = await mkdtemp(path.join(tmpdir(), 'freehold-cli-'))));
afterAll(() => rm(home, { recursive: true, force: true }));

const freehold = (args: string[], env: Record<string, string> = {}) => start(args, { HOME: home, ...env }).ended;
const wrong = (err: string) => ({ code: 2, out: '', err: `freehold: ${err}\n` });
const failed = (err: string) => ({ code: 1, out: '', err: `freehold: ${err}\n` });

describe('help', () => {
  test('names every command, and is what is printed where nothing is asked', async () => {
    const { code, out } = await freehold(['--help']);
    expect(code).toBe(0);
    for (const { name, summary } of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name}\\b.*  ${summary}$`, 'm'));
    expect((await freehold([])).out).toBe(out);
    expect((await freehold(['help'])).out).toBe(out);
  });

  test('of a command names its options, wherever it is asked for', async () => {
    const { code, out, err } = await freehold(['task', 'run', '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const option of ['PROMPT', '--budget CENTS', '--timeout SECONDS', '--model SLUG', '--webhook URL', '--json'])
      expect(out).toContain(option);
    expect((await freehold(['help', 'task', 'run'])).out).toBe(out);
    expect((await freehold(['task', '--help'])).out).toContain('task cancel ID');
  });

  test('of start tells how to set a server up, and starts none', async () => {
    const { code, out, err } = await freehold(['start', '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^Usage: freehold start\n[^]*\.env\.example/);
    expect((await freehold(['help', 'start'])).out).toBe(out);
  });

  test('the version is that of the package', async () => {
    expect(await freehold(['--version'])).toEqual({ code: 0, out: `freehold ${manifest.version}\n`, err: '' });
  });
});

describe('wrong usage ends with 2 and one sentence, before anything is asked of a server:', () => {
  test.each([
    [['nope'], 'There is no command "nope"; see `freehold --help`.'],
    [
      ['start', '--port', '9000'],
      '"--port 9000" is too much: `freehold start` takes its settings from the environment.',
    ],
    [['task'], 'After "task" comes one of: run, list, show, steps, cancel.'],
    [['task', 'nope'], 'There is no command "task nope", only: run, list, show, steps, cancel.'],
    [['--nope'], 'There is no option "--nope"; see `freehold --help`.'],
    [['balance', '--nope'], "Unknown option '--nope'; see `freehold balance --help`."],
    [['balance', 'more'], '"more" is too much; see `freehold balance --help`.'],
    [['task', 'show'], 'ID is missing; see `freehold task show --help`.'],
    [['admin', 'credit'], 'ACCOUNT_ID and CENTS are missing; see `freehold admin credit --help`.'],
    [['register'], '--name is missing; see `freehold register --help`.'],
    [['keys', 'create', '--name'], "Option '--name <value>' argument missing; see `freehold keys create --help`."],
    [
      ['history', '--limit', '-5'],
      '--limit must be a whole number of at least 1, and is "−5"; see `freehold history --help`.',
    ],
    [
      ['admin', 'credit', 'a', '1.5'],
      'CENTS must be a whole number, and is "1.5"; see `freehold admin credit --help`.',
    ],
    [['balance', '--url', 'here'], '--url must be a URL like http://127.0.0.1:8080, and is "here".'],
  ])('%j', async (args, sentence) => {
    // Were a server asked, its absence would be told instead.
    const env = { FREEHOLD_API_KEY: 'k', FREEHOLD_ADMIN_KEY: 'k', FREEHOLD_URL: 'http://127.0.0.1:1' };
    expect(await freehold(args, env)).toEqual(wrong(sentence));
  });
});

describe('what keeps a command from its server is told in one sentence:', () => {
  test('no key', async () => {
    expect(await freehold(['balance', '--url', 'http://127.0.0.1:1'])).toEqual(
      failed(
        'There is no key for http://127.0.0.1:1 here: run `freehold register --name NAME`, or set FREEHOLD_API_KEY.',
      ),
    );
  });

  test('no admin key', async () => {
    expect(await freehold(['admin', 'machines'])).toEqual(
      failed('Set FREEHOLD_ADMIN_KEY first: the server keeps it as admin.key in its data directory.'),
    );
  });

  test('no server', async () => {
    const port = await closedPort();
    expect(await freehold(['balance', '--url', `http://127.0.0.1:${port}/`], { FREEHOLD_API_KEY: 'k' })).toEqual(
      failed(
        `Nothing answers at http://127.0.0.1:${port}: start a server with \`npm start\`, or name another with --url or FREEHOLD_URL.`,
      ),
    );
  });

  test.each([
    ['a page', 200, { 'content-type': 'text/html' }, 'does not answer like a Freehold server: 200 with text/html.'],
    [
      'an error page',
      502,
      { 'content-type': 'text/html' },
      'does not answer like a Freehold server: 502 with text/html.',
    ],
    [
      'a redirection',
      301,
      { location: 'https://elsewhere.example' },
      'sends its callers to https://elsewhere.example: give that server with --url.',
    ],
  ])('a server that answers with %s', async (_what, status, headers, sentence) => {
    const url = await serverThatSays(status, headers);
    expect(await freehold(['balance'], { FREEHOLD_URL: url, FREEHOLD_API_KEY: 'k' })).toEqual(
      failed(`${url} ${sentence}`),
    );
  });

  test('a key that is none', async () => {
    expect((await freehold(['balance'], { FREEHOLD_API_KEY: 'two\nlines' })).err).toBe(
      'freehold: FREEHOLD_API_KEY holds characters that are in no key.\n',
    );
  });

  test('a damaged file of keys, which is left as it is', async () => {
    const config = await mkdtemp(path.join(tmpdir(), 'freehold-cli-'));
    onTestFinished(() => rm(config, { recursive: true, force: true }));
    const file = path.join(config, 'freehold/credentials.json');
    await mkdir(path.dirname(file));
    await writeFile(file, '{"servers"');
    expect(await freehold(['register', '--name', 'a b'], { XDG_CONFIG_HOME: config })).toEqual(
      failed(`${file} is damaged: mend it, or move it away and register again.`),
    );
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

async function serverThatSays(status: number, headers: Record<string, string>): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status, headers).end('<p>Hello</p>'));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
