import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { EnvdDomains } from '../../src/apis/e2b/envd/index.ts';
import { envdRoutes } from '../../src/apis/e2b/envd/index.ts';
import { ErrorBody, presentError } from '../../src/apis/e2b/errors.ts';
import { serve } from '../../src/apis/serve.ts';
import type {
  FileStat,
  RunEvent,
  RunInfo,
  RunRequest,
  RunStream,
  WatchEvent,
} from '../../src/domains/machines/index.ts';
import type { Sandbox } from '../../src/domains/sandboxes/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { idOf, uuidv7 } from '../../src/kernel/ids.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { noRequestLimits, type RequestLimits } from '../../src/platform/limits.ts';
import { testDatabase } from '../harness/database.ts';

/** What a started process does, told by the test: `print` and `exit` from its side, `lose` as if its machine died. */
export class Process {
  readonly pid: number;
  readonly request: RunRequest;
  isHeld = true;
  readonly input: Buffer[] = [];
  readonly signals: number[] = [];
  readonly #events: RunEvent[] = [];
  #failure: Error | undefined;
  #isOver = false;
  #wake = () => {};

  constructor(pid: number, request: RunRequest) {
    this.pid = pid;
    this.request = request;
  }

  print(text: string | Buffer, stream: 'stdout' | 'stderr' | 'pty' = 'stdout'): this {
    return this.#tell({ kind: 'output', stream, data: Buffer.from(text), offset: 0 });
  }

  exit(exitCode: number): this {
    return this.#end({ kind: 'exit', exit: { exitCode, signal: undefined, timedOut: false } });
  }

  die(signal: number, timedOut = false): this {
    return this.#end({ kind: 'exit', exit: { exitCode: undefined, signal, timedOut } });
  }

  lose(): void {
    this.#failure = new AppError('conflict', 'The machine is not running.');
    this.#wake();
  }

  #tell(event: RunEvent): this {
    this.#events.push(event);
    this.#wake();
    return this;
  }

  #end(event: RunEvent): this {
    this.#isOver = true;
    return this.#tell(event);
  }

  stream(): RunStream {
    const next = async (): Promise<RunEvent | undefined> => {
      for (;;) {
        const event = this.#events.shift();
        if (event) return event;
        if (this.#failure) throw this.#failure;
        if (this.#isOver || !this.isHeld) return undefined;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    };
    return {
      pid: this.pid,
      write: async () => {},
      closeInput: async () => {},
      close: () => {
        this.isHeld = false;
        this.#wake();
      },
      async *[Symbol.asyncIterator]() {
        for (let event = await next(); event; event = await next()) yield event;
      },
    };
  }
}

type Kept = { content: Buffer; xattrs: Record<string, string>; kind: FileStat['kind'] };

export const CODE = 'i0123456789abcdefghj';
export const TOKEN = '0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0';

/** envd over a sandbox that exists in this process only: its files are a map, its processes do what the test says. */
export async function startInside({ limits = noRequestLimits }: { limits?: RequestLimits } = {}) {
  const database = await testDatabase();
  const files = new Map<string, Kept>();
  const processes: Process[] = [];
  const watches: { tell(event: WatchEvent): void; isOpen: boolean }[] = [];
  const state: State = {
    sandbox: sandboxOf(),
    script: () => {},
    taking: Promise.resolve(),
    waiting: 0,
    searching: Promise.resolve(),
  };
  const domains = domainsOver({ files, processes, watches, state });
  const server: FastifyInstance = createHttpServer();
  const failures: unknown[] = [];
  serve(
    server,
    [
      {
        name: 'e2b',
        title: 'E2B',
        routes: [],
        raw: envdRoutes(domains),
        owns: () => true,
        presentError,
        errorSchema: ErrorBody,
      },
    ],
    {
      db: database.db,
      clock: systemClock,
      limits,
      secret: Buffer.alloc(32),
      authenticate: async () => ({ kind: 'anonymous' }),
      answered: ({ status, error }) => void (status === 500 && failures.push(error?.cause ?? error)),
    },
  );
  const origin = await server.listen({ port: 0, host: '127.0.0.1' });
  return {
    origin,
    files,
    processes,
    watches,
    state,
    db: database.db,
    /** Answers that were defects of ours. */
    failures,
    async close() {
      await server.close();
      await database.drop();
    },
  };
}
export type Inside = Awaited<ReturnType<typeof startInside>>;

/**
 * `taking`: when processes take their input; `waiting`: how much of it waits for that. `searching`: how long the sandbox
 * is looked for that a signature names.
 */
type State = {
  sandbox: Sandbox;
  script: (process: Process) => void;
  taking: Promise<void>;
  waiting: number;
  searching: Promise<void>;
};

type Parts = {
  files: Map<string, Kept>;
  processes: Process[];
  watches: { tell(event: WatchEvent): void; isOpen: boolean }[];
  state: State;
};

function domainsOver({ files, processes, watches, state }: Parts): EnvdDomains {
  const find = (selector: { pid: number } | { tag: string }): Process => {
    const found = processes.find((process) =>
      'pid' in selector ? process.pid === selector.pid : process.request.tag === selector.tag,
    );
    if (!found) throw new AppError('not_found', 'No such process');
    return found;
  };
  const at = (path: string): Kept => {
    const kept = files.get(path);
    if (!kept) throw new AppError('not_found', 'No such file or directory');
    return kept;
  };
  return {
    sandboxes: {
      accessToken: () => TOKEN,
      awake: async (sandbox) => sandbox,
      byAccessToken: async (fits) => state.searching.then(() => (fits(TOKEN) ? state.sandbox : undefined)),
      byCode: async (code) => (code === state.sandbox.code ? state.sandbox : undefined),
    },
    machines: {
      run: async (_op, _id, request) => {
        const process = new Process(100 + processes.length, request);
        processes.push(process);
        state.script(process);
        return process.stream();
      },
      attach: async (_op, _id, selector) => find(selector).stream(),
      runs: async () => processes.map(infoOf),
      signalRun: async (_op, _id, selector, signal) => {
        const process = find(selector);
        process.signals.push(signal);
        process.die(signal);
      },
      inputRun: async (_op, _id, selector, data) => {
        state.waiting += 1;
        await state.taking;
        state.waiting -= 1;
        find(selector).input.push(Buffer.from(data));
      },
      closeRunInput: async (_op, _id, selector) => void find(selector),
      resizeRun: async (_op, _id, selector) => void find(selector),
      stat: async (_op, _id, path) => statOf(path, at(path)),
      listTree: async (_op, _id, path, _options, use) =>
        use({
          entries: [...files]
            .filter(([name]) => name.startsWith(`${path}/`) && !name.slice(path.length + 1).includes('/'))
            .map(([name, kept]) => statOf(name, kept)),
          truncated: false,
        }),
      readStream: async (_op, _id, path, options = {}) => {
        const kept = at(path);
        if (kept.kind === 'directory') throw new AppError('invalid', 'Is a directory');
        const { offset = 0, length = kept.content.length } = options;
        const content = Readable.from(
          [kept.content.subarray(offset, offset + length)].filter((part) => part.length > 0),
        );
        return { stat: statOf(path, kept), content };
      },
      writeStream: async (_op, _id, path, content, options = {}) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(chunk);
        const kept: Kept = { content: Buffer.concat(chunks), xattrs: options.xattrs ?? {}, kind: 'file' };
        files.set(path, kept);
        return statOf(path, kept);
      },
      makeDirectory: async (_op, _id, path) => {
        if (files.has(path)) throw new AppError('conflict', 'File exists');
        const kept: Kept = { content: Buffer.alloc(0), xattrs: {}, kind: 'directory' };
        files.set(path, kept);
        return statOf(path, kept);
      },
      move: async (_op, _id, source, destination) => {
        const kept = at(source);
        files.delete(source);
        files.set(destination, kept);
        return statOf(destination, kept);
      },
      remove: async (_op, _id, path) => {
        at(path);
        files.delete(path);
      },
      watch: async () => watchOver(watches),
      home: async (_op, _id, user) => {
        if (!['user', 'root', 'guest'].includes(user))
          throw new AppError('invalid', 'There is no such user in the machine.');
        return { home: user === 'root' ? '/root' : `/home/${user}`, uid: 1_000, gid: 1_000, shell: '/bin/bash' };
      },
      usage: async () => IDLE,
      samples: async () => [],
    },
  };
}

const IDLE = {
  cpuSeconds: 1,
  memoryBytes: 1_000_000,
  memoryCacheBytes: 1_000,
  diskBytes: 1_000,
  diskUsedBytes: 1_000,
  diskTotalBytes: 1_000_000,
  processes: 1,
  networkReceivedBytes: 0,
  networkSentBytes: 0,
};

const infoOf = ({ pid, request }: Process): RunInfo => ({
  pid,
  tag: request.tag,
  argv: [request.command].flat(),
  cwd: request.cwd ?? '/home/user',
  env: { ...request.env },
  pty: request.pty !== undefined,
  startedAt: new Date(),
  user: request.user ?? 'user',
});

const statOf = (path: string, { content, xattrs, kind }: Kept): FileStat => ({
  name: path.split('/').at(-1) ?? '',
  path,
  kind,
  targetKind: undefined,
  size: content.length,
  mode: kind === 'directory' ? 0o755 : 0o644,
  uid: 1_000,
  gid: 1_000,
  owner: 'user',
  group: 'user',
  modifiedAt: new Date('2026-01-02T03:04:05.678Z'),
  target: undefined,
  xattrs,
});

function watchOver(watches: Parts['watches']) {
  const events: WatchEvent[] = [];
  let wake = () => {};
  const watch = {
    isOpen: true,
    tell: (event: WatchEvent) => {
      events.push(event);
      wake();
    },
  };
  watches.push(watch);
  return {
    close: () => {
      watch.isOpen = false;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      while (watch.isOpen) {
        const event = events.shift();
        if (event) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

function sandboxOf(): Sandbox {
  const now = new Date();
  return {
    id: idOf('sandbox', uuidv7(now)),
    code: CODE,
    accountId: idOf('account', uuidv7(now)),
    machineId: idOf('machine', uuidv7(now)),
    name: undefined,
    origin: 'e2b',
    state: 'running',
    ready: true,
    keptMemory: false,
    pausedBy: undefined,
    template: 'base',
    interpreter: false,
    limits: { vcpus: 1, memoryMb: 512, diskGb: 1, pids: 512 },
    metadata: {},
    env: { GREETING: 'hello' },
    lifecycle: { onTimeout: 'kill', keepMemory: true, autoResume: false },
    network: {
      allowOut: [],
      denyOut: [],
      internet: undefined,
      headers: {},
      egressProxy: undefined,
      httpsPorts: [],
      publicTraffic: true,
      maskRequestHost: undefined,
    },
    startedAt: now,
    endAt: undefined,
    seq: 1n,
  };
}
