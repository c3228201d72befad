import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleOf } from '../../src/domains/machines/drivers/oci/bundle.ts';
import { detectCgroups, removeCgroup, setFrozen } from '../../src/domains/machines/drivers/oci/cgroup.ts';
import { copyCommand } from '../../src/domains/machines/drivers/oci/disk.ts';
import { idRange } from '../../src/domains/machines/host.ts';
import { must, run } from '../../src/platform/run.ts';
import { FILE_BYTES, LIMITS, type Contender } from './contender.ts';

/**
 * `crun` driven directly, with the same limits, namespaces and system call filter, but on the image itself: without a
 * disk of its own, a network, a database row or a fact. Its snapshot is a bare copy of a disk like ours.
 */
export async function rawRuntime(
  dir: string,
  cgroup: string,
  image: string,
): Promise<Contender & { close(): Promise<void> }> {
  const cgroups = await detectCgroups();
  const crun = (...args: string[]) => ['crun', '--root', join(dir, 'runtime'), ...args];
  const disk = join(dir, 'disk');
  await mkdir(join(dir, 'runtime'), { recursive: true });
  const [nothing, read] = await Promise.all([
    processFile(dir, 'true', ['true']),
    processFile(dir, 'read', ['head', '-c', String(FILE_BYTES), '/dev/zero']),
  ]);
  await must(['sh', '-e', '-c', `truncate -s ${LIMITS.diskGb}G "$0"; mkfs.ext4 -q -F -O ^has_journal "$0"`, disk]);

  const start = async () => {
    const id = `raw${randomBytes(8).toString('hex')}`;
    await writeBundle(join(dir, id), id, `${cgroup}/${id}`);
    const create = crun('create', '--bundle', join(dir, id), id);
    await must(inOwnMounts(cgroups.unifiedMount, image, join(dir, id, 'rootfs'), create));
    await must(crun('start', id));
    return id;
  };
  // Several containers that begin at once sometimes refuse crun's first attempt to enter them.
  const exec = async (id: string) => {
    const command = crun('exec', '--process', nothing, id);
    const { kind, exitCode } = { exitCode: undefined, ...(await run(command)) };
    if (kind !== 'exited' || exitCode !== 0) await must(command);
  };
  const startAndExec = async () => {
    const id = await start();
    await exec(id);
    return id;
  };
  return {
    start,
    exec,
    readFile: async (id) => void (await must(crun('exec', '--process', read, id), { maxOutputBytes: FILE_BYTES })),
    snapshot: async () => {
      const copy = join(dir, `copy-${randomBytes(4).toString('hex')}`);
      await must(copyCommand(disk, copy));
      return () => rm(copy);
    },
    fork: (_, count) => Promise.all(Array.from({ length: count }, startAndExec)),
    pause: (id) => setFrozen(cgroups, `${cgroup}/${id}`, true),
    wake: async (id) => {
      await setFrozen(cgroups, `${cgroup}/${id}`, false);
      await exec(id);
    },
    destroy: async (id) => void (await must(crun('delete', '--force', id))),
    close: async () => {
      await removeCgroup(cgroups, cgroup);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Runs a command that sees the image at `target`, and not the half of the cgroup tree that crun refuses to work with. */
const inOwnMounts = (hidden: string | undefined, image: string, target: string, command: string[]): string[] => {
  const hide = hidden === undefined ? '' : `umount ${hidden}; `;
  const script = `${hide}mount --bind "$0" "$1"; shift; exec "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-e', '-c', script, image, target, ...command];
};

const optionsOf = async (id: string, cgroup: string) => ({
  hostname: id.slice(0, 12),
  limits: LIMITS,
  profile: 'tenant' as const,
  ids: await idRange(),
  cgroup,
  arch: process.arch,
  maxOpenFiles: 1_024,
  sysctl: {},
});

async function writeBundle(dir: string, id: string, cgroup: string): Promise<void> {
  const bundle = bundleOf(await optionsOf(id, cgroup));
  await mkdir(join(dir, 'rootfs'), { recursive: true });
  const config = {
    ...bundle,
    process: { ...bundle.process, args: ['sleep', 'infinity'] },
    root: { path: 'rootfs', readonly: true },
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
}

/** A further process, in the form that `crun exec --process` takes. */
async function processFile(dir: string, name: string, args: string[]): Promise<string> {
  const file = join(dir, `${name}.json`);
  const { process } = bundleOf(await optionsOf('raw', 'raw'));
  await writeFile(file, JSON.stringify({ ...process, args, user: { uid: 1_000, gid: 1_000, umask: 0o022 } }));
  return file;
}

const KIB = 1_024;

/** MiB of memory that a process has for itself; what it shares with others counts in part. */
export async function memoryOf(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]) / KIB;
}
