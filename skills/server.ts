/**
 * The server in a skill's machine: `POST /run` runs the program on the JSON it is sent, `GET /healthz` tells that it
 * can. It runs as the machine's root and touches no input; each run is a process of a user who owns nothing, may write
 * nowhere, and of whom nothing is left when the run is over.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';

const PORT = 8080;
const MAX_BODY_BYTES = 16_000_000;
/** What a run may print; its result is shorter. */
const MAX_OUTPUT_BYTES = 10_000_000;
/** Runs at a time, and with them those that send their input or wait for one to end: all may be of the largest. */
const MAX_RUNNING = 2;
const MAX_ASKED = 12;
const HEAP_MB = 160;
/** Of one run, threads too: together they leave the machine's other processes room. */
const MAX_PROCESSES = 48;
/** Shorter than what the server outside waits for, so that it is told and not left. */
const RUN_LIMIT_MS = Number(process.env['SKILL_RUN_LIMIT_MS'] ?? 28_000);
/** The first of the users that runs have, one for each that may run at a time. */
const FIRST_USER = 20_001;
const FOLDER = process.env['SKILL_FOLDER'] ?? '/opt/skill';
const PROGRAM = process.env['SKILL_PROGRAM'] ?? '';

type Reply = { status: number; body: unknown };

const users = Array.from({ length: MAX_RUNNING }, (_, index) => FIRST_USER + index);
const waiting: ((user: number) => void)[] = [];
let asked = 0;

const BUSY: Reply = { status: 503, body: { error: 'The skill is busy' } };
const LATE: Reply = { status: 504, body: { error: `The run took longer than ${RUN_LIMIT_MS} ms` } };
const TOO_LARGE: Reply = { status: 413, body: { error: `The input may have ${MAX_BODY_BYTES} bytes` } };
const BROKEN: Reply = { status: 500, body: { error: 'The program ended before it had a result' } };

createServer((request, response) => {
  void serve(request, response).catch((error: unknown) => {
    console.error(error);
    response.destroy();
  });
}).listen(PORT, '127.0.0.1');

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url } = request;
  if (method === 'GET' && url === '/healthz') return send(response, { status: 200, body: { status: 'ok' } });
  if (method !== 'POST' || url !== '/run') return send(response, { status: 404, body: { error: 'Not found' } });
  // Inputs are large: of those that cannot be served soon none is kept.
  if (asked >= MAX_ASKED) {
    request.resume();
    return send(response, BUSY);
  }
  asked += 1;
  try {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const input = await bodyOf(request);
    const reply =
      input === undefined ? TOO_LARGE : await inTurn((user) => runAs(user, input, gone.signal), gone.signal);
    if (!response.destroyed) send(response, reply);
  } finally {
    asked -= 1;
  }
}

function send(response: ServerResponse, { status, body }: Reply): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

/** Undefined where there is too much of it, which is read to its end, so that whoever sends it reads our answer. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  let chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > MAX_BODY_BYTES) chunks = [];
    else chunks.push(chunk as Buffer);
  }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}

/** Waits for a user that nobody runs as; those who have gone meanwhile are passed over. */
async function inTurn(work: (user: number) => Promise<Reply>, gone: AbortSignal): Promise<Reply> {
  const free = users.pop();
  const user = free ?? (await new Promise<number>((resolve) => void waiting.push(resolve)));
  try {
    return gone.aborted ? BUSY : await work(user);
  } finally {
    const next = waiting.shift();
    if (next) next(user);
    else users.push(user);
  }
}

async function runAs(user: number, input: Buffer, gone: AbortSignal): Promise<Reply> {
  const child = begin(user);
  let late = false;
  const end = (): void => void child.kill('SIGKILL');
  const limit = setTimeout(() => {
    late = true;
    end();
  }, RUN_LIMIT_MS);
  gone.addEventListener('abort', end, { once: true });
  try {
    // What a run has started besides would keep its output open, and be there for the next.
    child.once('exit', () => endAllOf(user));
    const output = await outputOf(child, input);
    return late ? LATE : replyOf(output);
  } finally {
    clearTimeout(limit);
    gone.removeEventListener('abort', end);
  }
}

/** The first that the machine's memory runs short for is a run, never this server. */
const begin = (user: number): ChildProcess =>
  spawn(
    'setpriv',
    [
      `--reuid=${user}`,
      `--regid=${user}`,
      '--clear-groups',
      '--no-new-privs',
      '--bounding-set=-all',
      '--',
      'prlimit',
      `--nproc=${MAX_PROCESSES}`,
      '--',
      'choom',
      '--adjust=1000',
      '--',
      process.execPath,
      `--max-old-space-size=${HEAP_MB}`,
      join(FOLDER, 'run.mjs'),
      join(FOLDER, PROGRAM),
    ],
    { cwd: '/', env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' }, stdio: ['pipe', 'pipe', 'ignore'] },
  );

function endAllOf(user: number): void {
  spawnSync('setpriv', [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--', 'kill', '-KILL', '--', '-1']);
}

/** What it printed; undefined where it did not end well, or printed too much. */
function outputOf(child: ChildProcess, input: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
      else chunks.push(chunk);
    });
    // It may end without having read its input.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    child.once('error', () => resolve(undefined));
    child.once('close', (code) => resolve(code === 0 ? Buffer.concat(chunks).toString('utf8') : undefined));
  });
}

const RESULT = '{"result":';

/** The result goes on as it was printed: only whether it is one is looked at. */
function replyOf(output: string | undefined): Reply {
  if (output?.startsWith(RESULT)) return { status: 200, body: output.slice(RESULT.length, -1) };
  if (output?.startsWith('{"refusal":')) {
    const { refusal } = JSON.parse(output) as { refusal: unknown };
    return { status: 422, body: { error: String(refusal) } };
  }
  return BROKEN;
}
