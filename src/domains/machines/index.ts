import { availableParallelism } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import pLimit from 'p-limit';
import type { MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Page } from '../../kernel/page.ts';
import type { Tx } from '../../platform/db.ts';
import { destroy } from './destroy.ts';
import { dial } from './dial.ts';
import type { Usage } from './drivers/driver.ts';
import { createGateway } from './egress/gateway.ts';
import { proxyAddresses } from './egress/reach-out.ts';
import {
  list as listTree,
  makeDirectory,
  move,
  readStream,
  remove,
  stat,
  watch,
  writeStream,
  type FileUser,
  type Listed,
  type ListOptions,
  type ReadOptions,
  type Watch,
  type WriteOptions,
} from './files.ts';
import type { FileStat, Home, RunInfo, RunOffsets, RunSelector, RunStream, TerminalSize } from './init/index.ts';
import { extend, extendWithin, get, getAll, home, list, setUntil, usage, type ListedMachine } from './look.ts';
import type { Machine } from './machine.ts';
import { drainPool, refillPool } from './pool.ts';
import { holdBack } from './hold-back.ts';
import { boot, mayFreeze, pause, resume, setRules, stop, type WakeOptions } from './rest.ts';
import { checkReserve } from './room.ts';
import type { EgressProxy, EgressRules } from './rules.ts';
import { attach, run, type RunRequest } from './run.ts';
import { closeRunInput, inputRun, resizeRun, runs, signalRun } from './runs.ts';
import { exec, type CommandRequest, type ExecOutcome } from './run-to-end.ts';
import type { Sample } from './sample.ts';
import { samples, takeSamples } from './samples.ts';
import type { Snapshot, SnapshotCursor, SnapshotFilter } from './snapshot.ts';
import { exportSnapshot, importSnapshot, type SnapshotImport } from './snapshot-transfer.ts';
import { getSnapshot, listSnapshots, removeSnapshot, snapshot, type SnapshotOptions } from './snapshots.ts';
import { start, type StartRequest } from './start.ts';
import { adopt, sweep } from './sweep.ts';
import { downloadTree, uploadTree } from './trees.ts';
import { listFiles, readFile, writeFile, type FileEntry } from './whole-files.ts';
import type { MachinesWorld } from './world.ts';

export { isRefused } from './dial.ts';
export type { Limits, MachineDriver, NetworkMode, Standing, Tier, Usage } from './drivers/driver.ts';
export { openDriver, type DriverOptions, type DriverSetting } from './drivers/open.ts';
export type { FileUser, ListOptions, ReadOptions, Watch, WriteOptions } from './files.ts';
export { prepareHost, type HostOptions, type HostReport } from './host.ts';
export type {
  FileKind,
  FileStat,
  Home,
  RunEvent,
  RunExit,
  RunInfo,
  RunOffsets,
  RunSelector,
  RunStream,
  TerminalSize,
  WatchEvent,
} from './init/index.ts';
export { machineSweeps } from './jobs.ts';
export type { ListedMachine } from './look.ts';
export { limitsOf, STANDING_LEASE_MS } from './machine.ts';
export type { EndReason, LimitsRequest, Machine, MachineState } from './machine.ts';
export { POOLED_LIMITS } from './pool.ts';
export type { WakeOptions } from './rest.ts';
export { isNamePattern } from './rules.ts';
export type { EgressProxy, EgressRules, Transform } from './rules.ts';
export type { RunRequest } from './run.ts';
export { CODE_TAG, isPlatformRun } from './runs.ts';
export type { CommandRequest, ExecOutcome, ExecOutput, OutputStream } from './run-to-end.ts';
export type { Sample } from './sample.ts';
export { MAX_SNAPSHOTS_PER_ACCOUNT, type Snapshot, type SnapshotCursor, type SnapshotFilter } from './snapshot.ts';
export { fingerprintOf, parsePublicKey } from './ssh-keys.ts';
export { createSsh, type Ssh, type SshAccess, type SshWorld } from './ssh.ts';
export type { StartRequest } from './start.ts';
export type { FileEntry } from './whole-files.ts';
export {
  createImages,
  IMAGE_NAME,
  IMAGE_REFERENCE,
  imageEnvironments,
  INTERPRETER_TEMPLATE,
  MAX_DOCKERFILE_LENGTH,
  MAX_IMAGE_NAME_LENGTH,
  MAX_IMAGE_REFERENCE_LENGTH,
  MAX_INLINE_CONTEXT_BYTES,
  MIN_IMAGE_NAME_LENGTH,
  openShelf,
  type Image,
  type ImageRequest,
  type Images,
  type ImageUpload,
  type Shelf,
} from './images/index.ts';
export type { MachinesWorld } from './world.ts';

/**
 * Everything that can be done with machines. The verbs say what they throw where they are written. Beside that, each
 * throws `not_found` for a machine that is not the caller's and, where it needs one that runs, `conflict`.
 */
export type Machines = {
  start(op: Op, request: StartRequest): Promise<Machine>;

  run(op: Op, id: MachineId, request: RunRequest): Promise<RunStream>;
  attach(op: Op, id: MachineId, selector: RunSelector, from?: RunOffsets): Promise<RunStream>;
  runs(op: Op, id: MachineId): Promise<RunInfo[]>;
  signalRun(op: Op, id: MachineId, selector: RunSelector, signal: number, scope?: 'process' | 'tree'): Promise<void>;
  inputRun(op: Op, id: MachineId, selector: RunSelector, data: Uint8Array): Promise<void>;
  closeRunInput(op: Op, id: MachineId, selector: RunSelector): Promise<void>;
  resizeRun(op: Op, id: MachineId, selector: RunSelector, size: TerminalSize): Promise<void>;
  exec(op: Op, id: MachineId, request: CommandRequest): Promise<ExecOutcome>;

  stat(op: Op, id: MachineId, path: string, options?: FileUser & { follow?: boolean }): Promise<FileStat>;
  listTree<Result>(
    op: Op,
    id: MachineId,
    path: string,
    options: ListOptions,
    use: (listed: Listed) => Result | Promise<Result>,
  ): Promise<Result>;
  readStream(
    op: Op,
    id: MachineId,
    path: string,
    options?: ReadOptions,
  ): Promise<{ stat: FileStat; content: Readable }>;
  writeStream(
    op: Op,
    id: MachineId,
    path: string,
    content: AsyncIterable<Uint8Array>,
    options?: WriteOptions,
  ): Promise<FileStat>;
  makeDirectory(op: Op, id: MachineId, path: string, options?: FileUser): Promise<FileStat>;
  move(op: Op, id: MachineId, source: string, destination: string, options?: FileUser): Promise<FileStat>;
  remove(op: Op, id: MachineId, path: string, options?: FileUser): Promise<void>;
  watch(op: Op, id: MachineId, path: string, options?: FileUser & { recursive?: boolean }): Promise<Watch>;
  readFile(op: Op, id: MachineId, path: string, options: FileUser & { maxBytes: number }): Promise<Buffer>;
  writeFile(
    op: Op,
    id: MachineId,
    path: string,
    content: Uint8Array | string,
    options?: FileUser & { mode?: string },
  ): Promise<void>;
  listFiles(
    op: Op,
    id: MachineId,
    path: string,
    options?: FileUser,
  ): Promise<{ entries: FileEntry[]; truncated: boolean }>;
  downloadTree(op: Op, id: MachineId, path: string, options?: FileUser): Promise<Readable>;
  uploadTree(
    op: Op,
    id: MachineId,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    options?: FileUser,
  ): Promise<void>;

  dial(op: Op, id: MachineId, port: number): Promise<Duplex>;
  home(op: Op, id: MachineId, user: string): Promise<Home>;

  pause(op: Op, id: MachineId): Promise<Machine>;
  mayFreeze(op: Op, id: MachineId): Promise<boolean>;
  resume(op: Op, id: MachineId, options?: WakeOptions): Promise<Machine>;
  stop(op: Op, id: MachineId, options?: { graceMs?: number }): Promise<Machine>;
  boot(op: Op, id: MachineId, options?: WakeOptions): Promise<Machine>;
  setRules(op: Op, id: MachineId, rules: EgressRules): Promise<Machine>;
  /** Whether a proxy has an address that machines may be led to. */
  isProxyReachable(proxy: EgressProxy): Promise<boolean>;

  snapshot(op: Op, id: MachineId, options?: SnapshotOptions): Promise<Snapshot>;
  getSnapshot(op: Op, id: SnapshotId): Promise<Snapshot>;
  listSnapshots(op: Op, filter: SnapshotFilter): Promise<Page<Snapshot, SnapshotCursor>>;
  removeSnapshot(op: Op, id: SnapshotId): Promise<void>;
  exportSnapshot(op: Op, id: SnapshotId): Promise<Readable>;
  importSnapshot(op: Op, wanted: SnapshotImport, content: AsyncIterable<Uint8Array>): Promise<Snapshot>;

  extendLease(op: Op, id: MachineId, until: Date): Promise<Machine>;
  extendLeaseWithin(tx: Tx, op: Op, id: MachineId, until: Date): Promise<Machine>;
  setLease(op: Op, id: MachineId, until: Date): Promise<Machine>;
  usage(op: Op, id: MachineId): Promise<Usage | undefined>;
  samples(op: Op, id: MachineId, span: { start: Date; end: Date }): Promise<Sample[]>;
  get(op: Op, id: MachineId): Promise<Machine>;
  getAll(op: Op, ids: readonly MachineId[]): Promise<ReadonlyMap<MachineId, Machine>>;
  list(op: Op): Promise<ListedMachine[]>;

  destroy(op: Op, id: MachineId): Promise<void>;
  sweep(op: Op): Promise<{ removed: string[] }>;
  adopt(op: Op): Promise<{ adopted: string[]; removed: string[] }>;
  holdBack(op: Op): Promise<number>;
  /** Throws `at_capacity` where the disk has nothing left for what is not a machine either. */
  requireDisk(): Promise<void>;
  /** Makes one machine for the pool, or takes one out, where it is not as full as it should be; answers how many. */
  refillPool(op: Op): Promise<number>;
  /** Notes what each machine uses that was not looked at for five seconds; answers how many. */
  takeSamples(op: Op): Promise<number>;
  /** Ends the machines that only wait to be asked for. */
  drainPool(op: Op): Promise<void>;
  /** Passes on what machines with rules for names, headers or a proxy open; until then they reach nothing. */
  openGateway(): Promise<void>;
  /** Machines go on; only what none of them needs is taken from the host. */
  close(): Promise<void>;
};

/** To make a machine keeps a processor busy: more of them at a time would only make each of them wait for all others. */
const MAKERS_PER_PROCESSOR = 2;

export const createMachines = (ground: Omit<MachinesWorld, 'makers'>): Machines =>
  machinesOf({ ...ground, makers: pLimit(availableParallelism() * MAKERS_PER_PROCESSOR) });

function machinesOf(world: MachinesWorld): Machines {
  const of =
    <Args extends unknown[], Result>(verb: (world: MachinesWorld, ...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> =>
      verb(world, ...args);
  return {
    start: of(start),
    run: of(run),
    attach: of(attach),
    runs: of(runs),
    signalRun: of(signalRun),
    inputRun: of(inputRun),
    closeRunInput: of(closeRunInput),
    resizeRun: of(resizeRun),
    exec: of(exec),
    stat: of(stat),
    listTree: (...args) => listTree(world, ...args),
    readStream: of(readStream),
    writeStream: of(writeStream),
    makeDirectory: of(makeDirectory),
    move: of(move),
    remove: of(remove),
    watch: of(watch),
    readFile: of(readFile),
    writeFile: of(writeFile),
    listFiles: of(listFiles),
    downloadTree: of(downloadTree),
    uploadTree: of(uploadTree),
    dial: of(dial),
    home: of(home),
    pause: of(pause),
    mayFreeze: of(mayFreeze),
    resume: of(resume),
    stop: of(stop),
    boot: of(boot),
    snapshot: of(snapshot),
    getSnapshot: of(getSnapshot),
    listSnapshots: of(listSnapshots),
    removeSnapshot: of(removeSnapshot),
    exportSnapshot: of(exportSnapshot),
    importSnapshot: of(importSnapshot),
    extendLease: of(extend),
    extendLeaseWithin: of(extendWithin),
    setLease: of(setUntil),
    usage: of(usage),
    samples: of(samples),
    get: of(get),
    getAll: of(getAll),
    list: of(list),
    destroy: of(destroy),
    sweep: of(sweep),
    adopt: of(adopt),
    holdBack: of(holdBack),
    requireDisk: async () => checkReserve(await world.driver.room()),
    refillPool: of(refillPool),
    takeSamples: of(takeSamples),
    drainPool: of(drainPool),
    ...egressOf(world),
  };
}

/** What has to do with the gateway, of which there is one for all machines. */
function egressOf(world: MachinesWorld): Pick<Machines, 'setRules' | 'isProxyReachable' | 'openGateway' | 'close'> {
  const gateway = createGateway(world);
  return {
    async setRules(op, id, rules) {
      const ruled = await setRules(world, op, id, rules);
      await gateway.compare();
      return ruled;
    },
    isProxyReachable: async (proxy) => (await proxyAddresses(world, proxy)).length > 0,
    openGateway: () => gateway.open(),
    async close() {
      gateway.close();
      await world.driver.close();
    },
  };
}
