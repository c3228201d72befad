import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The host's cgroup trees. Version 2 has one; version 1, and the hybrid of both, has one for each controller. */
export type Cgroups = {
  version: 1 | 2;
  /** Every tree in which a machine may have a group. */
  trees: string[];
  /** Where to find a controller's files. */
  treeOf(controller: string): string;
  /** The version 2 tree beside version 1 trees, where there is one. */
  unifiedMount: string | undefined;
};

const EMPTY_WAIT_MS = 2;
const EMPTY_ATTEMPTS = 5_000;

export async function detectCgroups(): Promise<Cgroups> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').flatMap(parseMount);
  const v1 = mounts.filter((mount) => mount.type === 'cgroup');
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  if (v1.length === 0 && !unified) throw new Error('No cgroup tree is mounted.');
  return {
    version: v1.length > 0 ? 1 : 2,
    trees: [...v1, ...(unified ? [unified] : [])].map((mount) => mount.at),
    unifiedMount: v1.length > 0 ? unified?.at : undefined,
    treeOf: (controller) =>
      v1.find((mount) => mount.options.includes(controller))?.at ?? unified?.at ?? '/sys/fs/cgroup',
  };
}

function parseMount(line: string): { at: string; type: string; options: string[] }[] {
  const [left, right] = line.split(' - ');
  const at = left?.split(' ')[4];
  const [type, , options] = right?.split(' ') ?? [];
  return at && type && options ? [{ at, type, options: options.split(',') }] : [];
}

/** Processes of a group and of the groups in it. */
export async function processesOf(cgroups: Cgroups, path: string): Promise<number[]> {
  const found = await Promise.all((await groupsUnder(cgroups.treeOf('pids') + path)).map(processesIn));
  return found.flat();
}

const processesIn = async (group: string): Promise<number[]> =>
  (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(gone))?.split('\n').filter(Boolean).map(Number) ?? [];

/** Kills every process of a group, however fast it makes new ones, and removes the group. */
export async function removeCgroup(cgroups: Cgroups, path: string): Promise<void> {
  for (let attempt = 0; (await processesOf(cgroups, path)).length > 0; attempt++) {
    if (attempt === EMPTY_ATTEMPTS) throw new Error(`Processes of ${path} do not die.`);
    await killAll(cgroups, path);
    await sleep(EMPTY_WAIT_MS);
  }
  await Promise.all(cgroups.trees.map((tree) => removeGroup(tree + path)));
}

async function killAll(cgroups: Cgroups, path: string): Promise<void> {
  // One write kills a whole group of version 2, on kernels that have it; the others need each process named.
  if (cgroups.version === 2) await write(join(cgroups.treeOf('pids') + path, 'cgroup.kill'), '1');
  for (const pid of await processesOf(cgroups, path)) kill(pid);
  // A frozen process of version 1 dies only when it is thawed.
  if (cgroups.version === 1) await write(join(cgroups.treeOf('freezer') + path, 'freezer.state'), 'THAWED');
}

async function removeGroup(group: string): Promise<void> {
  for (const each of (await groupsUnder(group)).toReversed()) {
    for (let attempt = 0; !(await removed(each)); attempt++) {
      if (attempt === EMPTY_ATTEMPTS) throw new Error(`The cgroup ${each} stays busy.`);
      await sleep(EMPTY_WAIT_MS);
    }
  }
}

const removed = (group: string): Promise<boolean> =>
  rmdir(group).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return true;
      if (error.code === 'EBUSY') return false;
      throw error;
    },
  );

/** A group and all groups in it, outer ones first. */
async function groupsUnder(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(gone);
  if (!entries) return [];
  const inner = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => groupsUnder(join(group, entry.name))),
  );
  return [group, ...inner.flat()];
}

/** Names of the groups that an instance has, in any tree. */
export async function groupsIn(cgroups: Cgroups, path: string): Promise<string[]> {
  const found = await Promise.all(
    cgroups.trees.map((tree) => readdir(tree + path, { withFileTypes: true }).catch(gone)),
  );
  return [
    ...new Set(
      found
        .flatMap((entries) => entries ?? [])
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name),
    ),
  ];
}

/** Freezes every process of a group, or lets all of them go on; answers when it is so. */
export async function setFrozen(cgroups: Cgroups, path: string, frozen: boolean): Promise<void> {
  const { file, state, isFrozen: says } = freezer(cgroups, path);
  const [on, off] = cgroups.version === 2 ? ['1', '0'] : ['FROZEN', 'THAWED'];
  for (let attempt = 0; attempt < EMPTY_ATTEMPTS; attempt++) {
    await write(file, frozen ? on : off);
    const text = await readFile(state, 'utf8').catch(gone);
    if (text === undefined || says(text) === frozen) return;
    await sleep(1);
  }
  throw new Error(`The cgroup ${path} does not ${frozen ? 'freeze' : 'thaw'}.`);
}

export async function isFrozen(cgroups: Cgroups, path: string): Promise<boolean> {
  const { state, isFrozen: says } = freezer(cgroups, path);
  const text = await readFile(state, 'utf8').catch(gone);
  return text !== undefined && says(text);
}

function freezer(cgroups: Cgroups, path: string) {
  const group = cgroups.treeOf('freezer') + path;
  if (cgroups.version === 2)
    return {
      file: join(group, 'cgroup.freeze'),
      state: join(group, 'cgroup.events'),
      isFrozen: (text: string) => text.includes('frozen 1'),
    };
  const file = join(group, 'freezer.state');
  return { file, state: file, isFrozen: (text: string) => text.includes('FROZEN') };
}

export type GroupUsage = {
  cpuSeconds: number;
  memoryBytes: number;
  memoryCacheBytes: number;
  memoryLimitBytes: number;
  processes: number;
};

/** What a group has used. Undefined where it is not there. */
export async function usageOf(cgroups: Cgroups, path: string): Promise<GroupUsage | undefined> {
  const read = (controller: string, file: string) =>
    readFile(join(cgroups.treeOf(controller) + path, file), 'utf8').catch(gone);
  const v2 = cgroups.version === 2;
  const [cpu, memory, stat, limit, pids] = await Promise.all([
    v2 ? read('cpu', 'cpu.stat') : read('cpuacct', 'cpuacct.usage'),
    read('memory', v2 ? 'memory.current' : 'memory.usage_in_bytes'),
    read('memory', 'memory.stat'),
    read('memory', v2 ? 'memory.max' : 'memory.limit_in_bytes'),
    read('pids', 'pids.current'),
  ]);
  if (cpu === undefined || memory === undefined || stat === undefined || pids === undefined) return undefined;
  // Cached file contents that the kernel can drop at once are not in use.
  const droppable = field(stat, v2 ? 'inactive_file' : 'total_inactive_file');
  return {
    cpuSeconds: v2 ? field(cpu, 'usage_usec') / 1e6 : Number(cpu) / 1e9,
    memoryBytes: Math.max(0, Number(memory) - droppable),
    memoryCacheBytes: field(stat, v2 ? 'file' : 'total_cache'),
    memoryLimitBytes: Number(limit ?? 0),
    processes: Number(pids),
  };
}

const field = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const write = (file: string, value: string): Promise<void> => writeFile(file, value).catch(gone);

/** A group can go at any moment, together with its last process. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENODEV') throw error;
  return undefined;
}
