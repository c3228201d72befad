import type { Duplex, Readable } from 'node:stream';
import type { MachineId } from '../../../kernel/ids.ts';

/** How strong the wall around a machine is; told to the tenant as it is. */
export type Tier = 'container' | 'gvisor' | 'microvm' | 'vm';

/** `egress`: the public internet as far as the rules allow, and nothing else. `none`: its own loopback and nothing else. */
export type NetworkMode = 'egress' | 'none';

/**
 * IPv4 addresses and ranges that a machine with `egress` may reach. What is allowed beats what is denied; where both
 * are empty, it is all of the public internet.
 */
export type NetworkRules = {
  allow: readonly string[];
  deny: readonly string[];
  /**
   * Connections that do not leave but come to whoever has opened the gate: those to the ports of the web (80 and 443),
   * or all of TCP. The lists say nothing of them; while nobody has opened it, they are refused.
   */
  gate?: 'web' | 'tcp' | undefined;
  /** Its name servers are reached whatever is denied. */
  resolves?: boolean | undefined;
};

/** A connection that a machine has opened to `address` and that was taken out of its way. */
export type GateCall = { machine: MachineId; address: string; port: number; stream: Duplex };

export type Limits = { vcpus: number; memoryMb: number; diskGb: number; pids: number };

/**
 * A machine that is somebody's computer: it has the name that it was given, sees no more processors than it may use,
 * and where the host has an address for it, that address is its own, with all its ports.
 */
export type Standing = { hostname: string; address: string | undefined };

/** What a machine's processes may ask of the kernel. `builder` adds what tools that build images need, and no rights. */
export type MachineProfile = 'tenant' | 'builder';

declare const copy: unique symbol;
/** Names one copy of a disk; no other ever has the same. */
export type CopyName = string & { readonly [copy]: true };

export type MachineSpec = {
  id: MachineId;
  image: string;
  /** Its disk begins as a copy of this one's, which was made from the same image and is no larger than the limits. */
  snapshot?: CopyName | undefined;
  limits: Limits;
  network: NetworkMode;
  rules?: NetworkRules | undefined;
  standing?: Standing | undefined;
  /** Where it is not said: `tenant`. */
  profile?: MachineProfile | undefined;
};

export type Usage = {
  cpuSeconds: number;
  /** Without the cached file contents that the kernel can drop at once. */
  memoryBytes: number;
  memoryCacheBytes: number;
  /** Disk that the machine has filled, as the host counts it. */
  diskBytes: number;
  /** Its disk as the machine sees it. */
  diskUsedBytes: number;
  diskTotalBytes: number;
  processes: number;
  networkReceivedBytes: number;
  networkSentBytes: number;
};

/** Memory in MiB and disk in GiB, whether or not machines use it already. */
export type Room = { memoryMb: number; diskGb: number };

/** What a host has for machines: `diskGb` is what their disks fill and what is free, which is `freeDiskGb`. */
export type HostRoom = Room & {
  freeDiskGb: number;
  /** Of the whole file system that the disks are on, which others may use as well. */
  diskSizeGb: number;
};

/**
 * Something on the driver's side that bears our name: a machine that runs or is frozen, or what is left of one. A
 * machine that was stopped, whose disk waits to be booted, is remains too: only the domain knows it from others.
 */
export type Found = { id: string; state: 'running' | 'paused' | 'remains' };

/**
 * What makes, runs and removes machines. Nothing in it says where a machine is: only ids, bytes and streams pass, so
 * that a driver may as well speak to another host. A driver keeps no truth: states, owners and leases belong to the
 * domain, and whatever a crash leaves behind is found by `list` and removed by `destroy`.
 */
export interface MachineDriver {
  readonly name: string;
  /** Names where its machines are: drivers with the same place see the same machines. */
  readonly place: string;
  /** Another after each start of the host: what it had not written to its disk before that is lost. */
  readonly hostStart: string;
  readonly tier: Tier;
  readonly runtime: string;
  /** The key of today's base image, which still names that one when another has taken its place. */
  readonly baseImage: string;
  /** What all machines together can really use. */
  room(): Promise<HostRoom>;
  /** What a machine's disk fills of the host's, also while it is stopped; 0 where there is none. */
  filledBytes(id: MachineId): Promise<number>;
  /**
   * Makes and starts a machine and answers when its init does. When it throws, or is killed half-way, `destroy`
   * removes what was made.
   */
  create(spec: MachineSpec, signal: AbortSignal): Promise<void>;
  /** A connection of its own to the machine's init, for one call. Throws `MachineLost` where none is running. */
  connect(id: MachineId): Promise<Duplex>;
  /** Freezes every process with all its memory, until `resume`. Each may be repeated. */
  pause(id: MachineId): Promise<void>;
  resume(id: MachineId): Promise<void>;
  /**
   * Ends every process, and those that are not done after the grace time by force; keeps the disk. In any state, any
   * number of times.
   */
  stop(id: MachineId, graceMs?: number): Promise<void>;
  /** Starts a stopped machine from its disk. When it throws, `stop` tidies up and the disk is still there. */
  boot(spec: MachineSpec, signal: AbortSignal): Promise<void>;
  /** From now on, also for connections that are open. Only for machines with `egress`. */
  setRules(id: MachineId, rules: NetworkRules): Promise<void>;
  /**
   * Takes what gated machines open, from now on. Where several processes do, each connection comes to one of them.
   * Whose a call is, is certain: no machine can open one in another's name.
   */
  openGate(take: (call: GateCall) => void): Promise<{ close(): void }>;
  /**
   * Copies the disk of a running, paused or stopped machine, as it is at one moment, under the copy's name. A
   * machine that runs stands still meanwhile, for half a minute at the most: where that is too short it throws. Answers
   * how much of the host's disk the copy fills. When it throws, nothing is left of the copy.
   */
  snapshot(id: MachineId, copy: CopyName, signal: AbortSignal): Promise<{ bytes: number }>;
  /**
   * A snapshot as bytes that `importSnapshot` takes, on this host or on another, and nobody else has to understand: they
   * are few, and the same each time. The stream ends with an error where the copy cannot be read to its end.
   */
  exportSnapshot(copy: CopyName, signal: AbortSignal): Readable;
  /**
   * Makes a snapshot out of such bytes, of a disk that is no larger than it is said to be. What throws while they come
   * counts as it does here: nothing is left of the copy.
   * Answers how much of the host's disk it fills.
   */
  importSnapshot(
    copy: CopyName,
    incoming: { content: AsyncIterable<Uint8Array>; diskGb: number },
    signal: AbortSignal,
  ): Promise<{ bytes: number }>;
  /** Any number of times. */
  removeSnapshot(copy: CopyName): Promise<void>;
  /** The names of all copies that are there, whole or half made. */
  snapshots(): Promise<CopyName[]>;
  /** Undefined where there is no such machine running. */
  usage(id: MachineId): Promise<Usage | undefined>;
  /** Whether a machine that runs has the base image and the init that a new one would have. */
  isCurrent(id: MachineId): Promise<boolean>;
  /** Ends a machine and removes all that belongs to it. In any state, any number of times. */
  destroy(id: MachineId): Promise<void>;
  /** Everything that bears this installation's name, whether or not this process made it. */
  list(): Promise<Found[]>;
  /** Puts back what the host may have lost while machines run (a firewall that was flushed). Called at each sweep. */
  guard(): Promise<void>;
  /** Removes what the driver itself put on the host, if no machine needs it any more. */
  close(): Promise<void>;
}
