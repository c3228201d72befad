import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Limits } from '../driver.ts';
import type { Mount } from './bundle.ts';
import type { GroupUsage } from './cgroup.ts';

/**
 * What a computer sees of its processors and memory. The kernel tells a container of the host's: so a computer runs on
 * as many of the host's processors as it may use, which `nproc` counts, and files of ours stand in the place of the
 * kernel's where programs read how much there is.
 */
export type Seen = { cpus: number[]; mounts: Mount[] };

const READABLE = 0o644;
const BIND = ['bind', 'ro', 'nosuid', 'nodev', 'noexec'];
const MIB = 1_048_576;
const KIB = 1_024;
const DIGITS = 12;

const FILES = {
  meminfo: '/proc/meminfo',
  cpuinfo: '/proc/cpuinfo',
  'cpu-online': '/sys/devices/system/cpu/online',
} as const;

/** Writes the files into the machine's directory, from which they are mounted. */
export async function prepareSeen(dir: string, id: string, limits: Limits): Promise<Seen> {
  const cpus = cpusFor(id, limits.vcpus, await ownCpus());
  const contents: Record<keyof typeof FILES, string> = {
    meminfo: meminfoOf(limits.memoryMb * MIB, NOTHING_USED),
    cpuinfo: cpuinfoOf(await readFile('/proc/cpuinfo', 'utf8'), cpus),
    'cpu-online': `${listOf(cpus)}\n`,
  };
  const mounts = await Promise.all(
    Object.entries(FILES).map(async ([name, destination]): Promise<Mount> => {
      const source = join(dir, name);
      await writeFile(source, contents[name as keyof typeof FILES], { mode: READABLE });
      return { destination, type: 'bind', source, options: BIND };
    }),
  );
  return { cpus, mounts };
}

/** Says what a computer uses now. Nothing where the machine has no such file. */
export async function showMemory(dir: string, limitBytes: number, usage: GroupUsage): Promise<void> {
  const file = await open(join(dir, 'meminfo'), 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (!file) return;
  try {
    // In one write, in place and always as long: it is mounted, and somebody may be reading it.
    await file.write(meminfoOf(limitBytes, usage), 0);
  } finally {
    await file.close();
  }
}

const NOTHING_USED = { memoryBytes: 0, memoryCacheBytes: 0 };

export function meminfoOf(
  limitBytes: number,
  { memoryBytes, memoryCacheBytes }: Pick<GroupUsage, 'memoryBytes' | 'memoryCacheBytes'>,
): string {
  const used = Math.min(memoryBytes, limitBytes);
  const cached = Math.min(memoryCacheBytes, limitBytes - used);
  const fields = {
    MemTotal: limitBytes,
    MemFree: limitBytes - used - cached,
    MemAvailable: limitBytes - used,
    Buffers: 0,
    Cached: cached,
    SwapCached: 0,
    Active: used,
    Inactive: cached,
    SwapTotal: 0,
    SwapFree: 0,
    Dirty: 0,
    AnonPages: used,
    Mapped: 0,
    Shmem: 0,
    Slab: 0,
    SReclaimable: 0,
    SUnreclaim: 0,
    CommitLimit: limitBytes,
    Committed_AS: used,
  };
  return Object.entries(fields)
    .map(([name, bytes]) => `${`${name}:`.padEnd(DIGITS)}${String(Math.floor(bytes / KIB)).padStart(DIGITS)} kB\n`)
    .join('');
}

/** The parts of the kernel's text that are about these processors, counted from 0. */
export const cpuinfoOf = (text: string, cpus: readonly number[]): string =>
  text
    .split(/\n\n+/)
    .filter((part) => cpus.includes(Number(/^processor\s*:\s*(\d+)$/m.exec(part)?.[1] ?? Number.NaN)))
    .map((part, index) => `${part.trim().replace(/^(processor\s*:\s*)\d+$/m, `$1${index}`)}\n\n`)
    .join('');

/** As many as it may use, of those that there are; which ones depends on its name, so that all have some to do. */
export function cpusFor(id: string, vcpus: number, own: readonly number[]): number[] {
  const count = Math.min(Math.max(1, Math.ceil(vcpus)), own.length);
  const first = createHash('sha256').update(id).digest().readUInt32BE(0) % own.length;
  return Array.from({ length: count }, (_, index) => own[(first + index) % own.length] ?? 0).toSorted((a, b) => a - b);
}

/** Processors that this process may run on. */
async function ownCpus(): Promise<number[]> {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

export const listOf = (cpus: readonly number[]): string => cpus.join(',');
