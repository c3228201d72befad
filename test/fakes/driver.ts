import { Duplex, Readable } from 'node:stream';
import type { MachineDriver, Usage } from '../../src/domains/machines/index.ts';
import type { CopyName } from '../../src/domains/machines/drivers/driver.ts';
import { MachineLost } from '../../src/domains/machines/init/index.ts';

const IDLE: Usage = {
  cpuSeconds: 0.5,
  memoryBytes: 4_194_304,
  memoryCacheBytes: 1_048_576,
  diskBytes: 1_048_576,
  diskUsedBytes: 524_288,
  diskTotalBytes: 268_435_456,
  processes: 1,
  networkReceivedBytes: 3_000,
  networkSentBytes: 1_000,
};

export type ListedMachines = MachineDriver & {
  /** What is on the host, by id; tests may change it as a crash or a reboot would. */
  readonly present: Map<string, 'running' | 'paused' | 'remains'>;
  readonly copies: Set<CopyName>;
  /** Machines that another version made. */
  readonly outdated: Set<string>;
  /** What was asked of it, in order, as `verb id`. */
  readonly asked: string[];
  /** What there is of the host, in MiB and GiB; tests may take of it. */
  readonly host: { memoryMb: number; diskGb: number; freeDiskGb: number; diskSizeGb: number };
  /** Bytes that a machine's disk fills, and of memory that it holds, where a test says so. */
  readonly filled: Map<string, number>;
  readonly holds: Map<string, number>;
};

/** A host whose machines only exist on its list, for tests of what is above a driver; it runs no commands. */
export function listedMachines(): ListedMachines {
  const present: ListedMachines['present'] = new Map();
  const copies = new Set<CopyName>();
  const outdated = new Set<string>();
  const asked: string[] = [];
  const host = { memoryMb: 16_384, diskGb: 100, freeDiskGb: 100, diskSizeGb: 100 };
  const filled = new Map<string, number>();
  const holds = new Map<string, number>();
  const isUp = (id: string): boolean => present.has(id) && present.get(id) !== 'remains';
  const become = (verb: string, id: string, state: 'running' | 'paused' | 'remains') => {
    asked.push(`${verb} ${id}`);
    if (!present.has(id)) throw new Error(`there is no machine ${id}`);
    present.set(id, state);
  };
  return {
    present,
    copies,
    outdated,
    asked,
    host,
    filled,
    holds,
    name: 'listed',
    place: 'test-host',
    hostStart: 'the first',
    tier: 'container',
    runtime: 'none',
    baseImage: 'base-0123456789abcdef',
    room: async () => ({ ...host }),
    filledBytes: async (id) => filled.get(id) ?? IDLE.diskBytes,
    create: async ({ id }) => {
      asked.push(`create ${id}`);
      present.set(id, 'running');
    },
    connect: async (id) => {
      if (!isUp(id)) throw new MachineLost('a machine that is not there');
      return silent();
    },
    pause: async (id) => become('pause', id, 'paused'),
    resume: async (id) => become('resume', id, 'running'),
    stop: async (id) => become('stop', id, 'remains'),
    boot: async ({ id }) => become('boot', id, 'running'),
    setRules: async (id) => void asked.push(`setRules ${id}`),
    openGate: async () => ({ close: () => {} }),
    snapshot: async (id, copy) => {
      asked.push(`snapshot ${id}`);
      copies.add(copy);
      return { bytes: 1_048_576 };
    },
    exportSnapshot: (copy) => Readable.from([Buffer.from(`disk of ${copy}`)]),
    importSnapshot: async (copy, { content }) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) chunks.push(chunk);
      asked.push(`importSnapshot ${Buffer.concat(chunks).toString()}`);
      copies.add(copy);
      return { bytes: 1_048_576 };
    },
    removeSnapshot: async (copy) => void copies.delete(copy),
    snapshots: async () => [...copies],
    usage: async (id) => (isUp(id) ? { ...IDLE, memoryBytes: holds.get(id) ?? IDLE.memoryBytes } : undefined),
    isCurrent: async (id) => !outdated.has(id),
    destroy: async (id) => {
      asked.push(`destroy ${id}`);
      present.delete(id);
    },
    list: async () => [...present].map(([id, state]) => ({ id, state })),
    guard: async () => {},
    close: async () => {},
  };
}

/** A connection that ends as soon as an answer is waited for. */
const silent = (): Duplex =>
  new Duplex({
    read() {
      this.push(null);
    },
    write(_chunk, _encoding, done) {
      done();
    },
  });
