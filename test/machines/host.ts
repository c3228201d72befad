import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { prepareHost } from '../../src/domains/machines/index.ts';
import type { CopyName, Limits, MachineDriver, MachineSpec } from '../../src/domains/machines/drivers/driver.ts';
import type { RuntimeName } from '../../src/domains/machines/drivers/oci/commands.ts';
import { openOciDriver, type OciOptions } from '../../src/domains/machines/drivers/oci/index.ts';
import { layoutOf, placesOf } from '../../src/domains/machines/drivers/oci/layout.ts';
import { groupOf } from '../../src/domains/machines/drivers/oci/network.ts';
import { readRecord } from '../../src/domains/machines/drivers/oci/record.ts';
import { idRange } from '../../src/domains/machines/host.ts';
import { baseImageDir, importedImagesDir } from '../../src/domains/machines/images/base.ts';
import { builderImageDir } from '../../src/domains/machines/images/builder.ts';
import { initLayerDir } from '../../src/domains/machines/init/build.ts';
import { createInit, type Init } from '../../src/domains/machines/init/index.ts';
import { runToEnd, type CommandRequest, type ExecOutcome } from '../../src/domains/machines/run-to-end.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { must, run } from '../../src/platform/run.ts';

export const RUNTIMES: readonly RuntimeName[] = ['crun', 'runc'];
export const CACHE_DIR = process.env['FREEHOLD_CACHE_DIR'] ?? join(homedir(), '.cache', 'freehold');
/** Ample for this size of machine, and short enough to fail a test before the runner does. */
const EXEC_TIMEOUT_MS = 20_000;
const EXEC_OUTPUT_BYTES = 1_000_000;
const SETTLE_ATTEMPTS = 100;
const SETTLE_STEP_MS = 50;

const DEFAULTS = { timeoutMs: EXEC_TIMEOUT_MS, maxOutputBytes: EXEC_OUTPUT_BYTES };

export const SMALL: Limits = { vcpus: 1, memoryMb: 256, diskGb: 0.25, pids: 128 };

/** What the tests need on the host; builds the base image at the first run. */
export const prepareTestHost = () =>
  prepareHost({
    cacheDir: CACHE_DIR,
    installPackages: true,
    runtimes: RUNTIMES,
    progress: (line) => console.log(line),
  });

export type TestHost = {
  driver: MachineDriver;
  options: OciOptions;
  instance: string;
  dataDir: string;
  create(overrides?: Partial<MachineSpec>): Promise<MachineId>;
  init(id: MachineId): Init;
  /** The machine's first process as the host numbers it. */
  firstProcess(id: MachineId): Promise<number>;
  sh(
    id: MachineId,
    command: string,
    overrides?: Partial<CommandRequest> & { signal?: AbortSignal },
  ): Promise<ExecOutcome>;
  /** Everything on the host that bears this instance's name. */
  traces(): Promise<string[]>;
  /** The same, once the kernel has had time to undo what died. */
  tracesLeft(): Promise<string[]>;
  dispose(): Promise<void>;
};

/** A driver of an instance of its own. */
export async function testHost(runtime: RuntimeName, overrides: Partial<OciOptions> = {}): Promise<TestHost> {
  const instance = overrides.instance ?? `t${randomBytes(5).toString('hex')}`;
  const dataDir = overrides.dataDir ?? (await mkdtemp(join(tmpdir(), 'freehold-machines-')));
  const ids = await idRange();
  const images = {
    base: baseImageDir(CACHE_DIR, ids),
    builder: builderImageDir(CACHE_DIR, ids),
    imported: importedImagesDir(dataDir),
  };
  const initLayer = await initLayerDir(CACHE_DIR);
  const options = { runtime, instance, dataDir, images, initLayer, ids, ...overrides };
  const driver = await openOciDriver(options);
  const traces = () => tracesOf(instance, dataDir);
  const init = (id: MachineId) => createInit(() => driver.connect(id));
  return {
    driver,
    options,
    instance,
    dataDir,
    create: async (spec) => {
      const id = newMachineId();
      await driver.create(
        { id, image: 'base', limits: SMALL, network: 'egress', ...spec },
        AbortSignal.timeout(60_000),
      );
      return spec?.id ?? id;
    },
    init,
    firstProcess: async (id) => {
      const record = await readRecord(placesOf(layoutOf({ instance, dataDir }), id).record);
      if (!record) throw new Error(`The machine ${id} does not run.`);
      return record.pid;
    },
    sh: (id, command, { signal = new AbortController().signal, ...request } = {}) =>
      runToEnd(driver, { id, image: 'base' }, { command, ...DEFAULTS, ...request }, signal),
    traces,
    tracesLeft: () => settled(traces),
    dispose: async () => {
      for (const { id } of await driver.list()) await driver.destroy(id as MachineId);
      for (const name of await driver.snapshots()) await driver.removeSnapshot(name);
      await driver.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export const newCopyName = (): CopyName => `snp_${randomBytes(16).toString('hex')}` as CopyName;
export const newMachineId = (): MachineId => `mch_${randomBytes(16).toString('hex')}` as MachineId;

async function settled(traces: () => Promise<string[]>): Promise<string[]> {
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS; attempt++) {
    if ((await traces()).length === 0) return [];
    await sleep(SETTLE_STEP_MS);
  }
  return traces();
}

async function tracesOf(instance: string, dataDir: string): Promise<string[]> {
  const ours = (text: string) => text.split('\n').filter((line) => line.includes(instance) || line.includes(dataDir));
  const [loops, mounts, links, tables, groups, files, disks] = await Promise.all([
    must(['losetup', '--noheadings', '--list', '--output', 'NAME,BACK-FILE']).then(ours),
    readFile('/proc/self/mountinfo', 'utf8').then(ours),
    run(['ip', '-oneline', 'link', 'show', 'group', String(groupOf(instance))]).then((result) =>
      result.stdout.toString().split('\n').filter(Boolean),
    ),
    must(['nft', 'list', 'tables']).then(ours),
    found('/sys/fs/cgroup', '-maxdepth', '3', '-name', `*${instance}*`).then(ours),
    found('/run', '-xdev', '-path', `*/${instance}*`).then(ours),
    Promise.all(['machines', 'snapshots'].map((name) => readdir(join(dataDir, name)).catch(() => []))),
  ]);
  // After the others: what looks for the name bears it too, and on a busy host is still ending.
  const processes = await processesOf(instance);
  return [...loops, ...mounts, ...links, ...tables, ...groups, ...files, ...disks.flat(), ...processes];
}

/** What `find` prints. A neighbour's folder that goes away while it looks is no failure; anything else is. */
async function found(...args: string[]): Promise<string> {
  const command = ['find', ...args];
  const result = await run(command, { env: { LC_ALL: 'C' } });
  const troubles = result.stderr.toString().split('\n').filter(Boolean);
  if (result.kind !== 'exited' || !troubles.every((line) => line.endsWith('No such file or directory')))
    throw new Error(`${command.join(' ')}: ${troubles.join('; ')}`);
  return result.stdout.toString();
}

/** Processes in the instance's cgroups, or with its name in their command line; those that only wait to be reaped are dead. */
async function processesOf(instance: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const texts = await Promise.all(
    pids.map(async (pid) => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
      const [cgroup, cmdline, status] = await Promise.all([read('cgroup'), read('cmdline'), read('status')]);
      return /^State:\s+[ZX]/m.test(status) ? '' : `${pid} ${cmdline.replaceAll('\0', ' ')} ${cgroup}`;
    }),
  );
  return texts.filter((text) => text.includes(instance));
}
