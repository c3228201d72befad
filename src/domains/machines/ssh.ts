import type { Duplex } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import { isRefused } from './dial.ts';
import type { Machines } from './index.ts';
import { hostKeyOf, parseAuthorizedKeys, type HostKey } from './ssh-keys.ts';
import { settleServer, SSH_PORT, stopServer } from './ssh-server.ts';
import {
  changeEntry,
  closeDoor,
  findDoor,
  livingDoors,
  markSettled,
  openDoor,
  type SshDoor,
  type SshEntry,
  type SshLogin,
} from './ssh-store.ts';

/** Ports that another program of the host has are passed over; more of them than this mean that the range is wrong. */
const MAX_TAKEN_PORTS = 50;

export type SshWorld = {
  db: Database;
  machines: Machines;
  clock: Clock;
  /** Names where the machines are. */
  place: string;
  /** The installation's secret, of which the host keys are made. */
  secret: Uint8Array;
  /** The name or address under which clients reach the ports; asked when it is needed. */
  host: () => string;
  ports: { first: number; last: number };
  /** Begins to listen at a port for a machine. False where another program has the port. */
  listen: (door: { machineId: MachineId; port: number }) => Promise<boolean>;
  /** Stops listening for a machine, and cuts who is inside. */
  unlisten: (machineId: MachineId) => void;
};

/** How to get into a machine. */
export type SshAccess = {
  host: string;
  port: number;
  user: string;
  /** The host's keys, and the one that there is as `ssh-keygen -l` shows it. */
  hostKeys: string[];
  fingerprint: string;
  /** A line for the client's `known_hosts`: with it the first connection is checked as strictly as every other. */
  knownHosts: string;
  authorizedKeys: string[];
};

export type SshRequest = {
  authorizedKeys: readonly string[];
  /** Who comes in; `user` where it is not said. `agent` is made where there is none of that name. */
  login?: SshLogin | undefined;
  /** The login gets it as its password, and comes in by it; without it nobody comes in by a password. */
  password?: string | undefined;
};

export type Ssh = {
  /**
   * Lets the owners of the keys in; if somebody is let in already, these and nobody else from now on. Answers when the
   * machine's sshd listens. Throws `invalid` for keys, `conflict` where the machine does not run or has no sshd,
   * `at_capacity` where all ports are taken.
   */
  open(op: Op, id: MachineId, request: SshRequest): Promise<SshAccess>;
  /** After a boot: has the machine's sshd run, for clients that come to the machine's own address. */
  settle(op: Op, id: MachineId): Promise<void>;
  /** Throws `not_found` where the machine takes no SSH. */
  get(op: Op, id: MachineId): Promise<SshAccess>;
  /** Lets nobody in, and whoever is inside is cut off. A second time it has no effect. */
  close(op: Op, id: MachineId): Promise<void>;
  /** For the gateway: which machines are to be reached at which ports. */
  doors(): Promise<Pick<SshDoor, 'machineId' | 'port'>[]>;
  /** For the gateway: a connection to the machine's sshd, which is started again where it had ended. */
  connect(op: Op, id: MachineId): Promise<Duplex>;
};

export function createSsh(world: SshWorld): Ssh {
  const starting = new Map<MachineId, Promise<void>>();
  const startAgain: Settle = (op, door) => {
    const known = starting.get(door.machineId);
    if (known) return known;
    const started = settle(world, op, door).finally(() => starting.delete(door.machineId));
    starting.set(door.machineId, started);
    return started;
  };
  return {
    open: (op, id, request) => open(world, op, id, request),
    settle: async (op, id) => startAgain(op, await doorOf(world, op, id)),
    get: async (op, id) => accessTo(world, await doorOf(world, op, id)),
    close: (op, id) => close(world, op, id),
    doors: () => livingDoors(world.db, world.place),
    connect: (op, id) => connect(world, op, id, startAgain),
  };
}

type Settle = (op: Op, door: SshDoor) => Promise<void>;

async function open(world: SshWorld, op: Op, id: MachineId, request: SshRequest): Promise<SshAccess> {
  const { authorizedKeys: keys, login = 'user', password } = request;
  const authorizedKeys = password !== undefined && keys.length === 0 ? [] : parseAuthorizedKeys(keys);
  const entry = { authorizedKeys, login, password: password !== undefined };
  await requireRunning(world, op, id);
  const known = await world.db.transact((tx) => changeEntry(tx, id, entry));
  const door = known ?? (await newDoor(world, id, entry));
  try {
    await world.listen(door);
    await settle(world, op, door, password);
  } catch (error) {
    // Nobody was told of a door that was new: its port is for others.
    if (!known) await giveUpDoor(world, id);
    throw error;
  }
  return accessTo(world, door);
}

async function giveUpDoor(world: SshWorld, id: MachineId): Promise<void> {
  await world.db.transact((tx) => closeDoor(tx, id));
  world.unlisten(id);
}

async function close(world: SshWorld, op: Op, id: MachineId): Promise<void> {
  await world.machines.get(op, id);
  await giveUpDoor(world, id);
  await stopServer(world.machines, op, id);
}

/** A machine that is frozen keeps the keys that it has, so that they are only changed where that takes effect. */
async function requireRunning({ machines }: SshWorld, op: Op, id: MachineId): Promise<void> {
  const { state } = await machines.get(op, id);
  if (state !== 'running')
    throw new AppError('conflict', state === 'paused' ? 'The machine is paused.' : 'The machine is not running.');
}

/** Finds a port at which nobody listens, neither for a machine nor otherwise. */
async function newDoor(world: SshWorld, machineId: MachineId, entry: SshEntry): Promise<SshDoor> {
  const { db, place, ports, clock } = world;
  const taken: number[] = [];
  while (taken.length <= MAX_TAKEN_PORTS) {
    const wanted = { ...entry, machineId, place, at: clock.now() };
    const made = await db.transact((tx) => openDoor(tx, wanted, { ...ports, taken }));
    // Either somebody else has opened it in this moment, or no port is left.
    const door = made ?? (await findDoor(db, machineId));
    if (!door) break;
    if (!made || (await world.listen(door))) return door;
    await db.transact((tx) => closeDoor(tx, machineId));
    taken.push(door.port);
  }
  throw new AppError('at_capacity', 'No port for SSH is free.');
}

/** `newPassword` is given to the machine once, so that its owner may change it. */
async function settle({ db, machines, secret }: SshWorld, op: Op, door: SshDoor, newPassword?: string): Promise<void> {
  const { machineId } = door;
  await settleServer(machines, op, machineId, { ...door, hostKey: hostKeyOf(secret, machineId), newPassword });
  await db.transact((tx) => markSettled(tx, machineId, door));
}

async function doorOf(world: SshWorld, op: Op, id: MachineId): Promise<SshDoor> {
  await world.machines.get(op, id);
  const door = await findDoor(world.db, id);
  if (!door) throw noSsh();
  return door;
}

const noSsh = (): AppError => new AppError('not_found', 'This machine takes no SSH');

/** `startAgain` gives the machine its keys and starts its sshd, once for all who come meanwhile. */
async function connect(world: SshWorld, op: Op, id: MachineId, startAgain: Settle): Promise<Duplex> {
  const door = await findDoor(world.db, id);
  if (!door) throw noSsh();
  if (door.settled) {
    try {
      return await world.machines.dial(op, id, SSH_PORT);
    } catch (error) {
      // After a boot, or where somebody in the machine has ended it.
      if (!isRefused(error)) throw error;
    }
  }
  await startAgain(op, door);
  return await world.machines.dial(op, id, SSH_PORT);
}

function accessTo(world: SshWorld, { machineId, address, login, authorizedKeys, ...door }: SshDoor): SshAccess {
  const { publicKey, fingerprint }: HostKey = hostKeyOf(world.secret, machineId);
  const host = address ?? world.host();
  const port = address === undefined ? door.port : SSH_PORT;
  const knownHosts = `${port === SSH_PORT ? host : `[${host}]:${port}`} ${publicKey}`;
  return { host, port, user: login, hostKeys: [publicKey], fingerprint, knownHosts, authorizedKeys };
}
