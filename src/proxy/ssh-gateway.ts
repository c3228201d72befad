import type { Duplex } from 'node:stream';
import type { Ssh } from '../domains/machines/index.ts';
import { AppError, isAppError } from '../kernel/errors.ts';
import type { MachineId } from '../kernel/ids.ts';
import { HOUR, SECOND, type Clock } from '../kernel/time.ts';
import { stopwatch } from '../platform/clock.ts';
import { within } from '../platform/deadline.ts';
import { join } from '../platform/join.ts';
import { networkOf } from '../platform/limits.ts';
import type { Log } from '../platform/log.ts';
import { listenTcp, type TcpListener } from '../platform/tcp.ts';
import { proxyOp } from './lanes.ts';
import { createPlaces } from './places.ts';

/** Connections at a time, in one process. */
export const MAX_CONNECTIONS = { each: 128, all: 4_096, network: 64 };
/** A machine whose sshd has to be started again takes longer than one that listens. */
const CONNECT_TIMEOUT_MS = 20 * SECOND;
/** sshd itself asks its clients every minute whether they are there; what is silent for so long is frozen or gone. */
const IDLE_MS = HOUR;
/** So long a client waits for a machine that is being started, and so often it is asked. */
const STARTING_MS = 10 * SECOND;
const STARTING_PAUSE_MS = 100;
/** How often the listeners are compared with what stands in the database, where other processes write as well. */
const COMPARE_EVERY_MS = 2 * SECOND;

type Door = { machineId: MachineId; port: number };
type SshBehind = Pick<Ssh, 'doors' | 'connect'>;

export type SshGateway = {
  /** Begins to listen for a machine. False where another program has the port. */
  listen(door: Door): Promise<boolean>;
  /** Stops listening for a machine, and cuts who is inside. */
  unlisten(machineId: MachineId): void;
  /** From now on the machines that take SSH are listened for, also those that others have opened. */
  serve(ssh: SshBehind): Promise<void>;
  close(): void;
};

/**
 * Passes connections at the server's ports on into machines, as they are: who is let in is decided by the machine's
 * own sshd. Of several processes on one host, one listens at a port; the others try again, and have it when it ends.
 */
export function createSshGateway({ host, clock, log }: { host: string; clock: Clock; log: Log }): SshGateway {
  const closing = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let served: SshBehind | undefined;

  const passOn = async (machineId: MachineId, socket: Duplex): Promise<void> => {
    try {
      const machine = await within(CONNECT_TIMEOUT_MS, closing.signal, (signal) =>
        patiently(socket, async () => served?.connect(proxyOp(clock, signal), machineId)),
      );
      if (machine) await join(socket, machine, IDLE_MS);
    } catch (error) {
      log.debug({ machineId, err: error }, 'a machine could not be reached by SSH');
    }
    // SSH has no words for a failure before its own begin: what ends at once is what a client is told.
    socket.destroy();
  };
  const listeners = createListeners(host, passOn);

  /** Makes the listeners agree with the database. Who was let in meanwhile is not known to what was read before. */
  const compare = async ({ doors }: SshBehind): Promise<void> => {
    const before = listeners.machines();
    const wanted = new Map((await doors()).map((door) => [door.machineId, door]));
    if (closing.signal.aborted) return;
    for (const machineId of before) if (!wanted.has(machineId)) listeners.unlisten(machineId);
    await Promise.all([...wanted.values()].map(listeners.listen));
  };

  const keepComparing = async (ssh: SshBehind): Promise<void> => {
    await compare(ssh).catch((error: unknown) => log.warn({ err: error }, 'the ports for SSH could not be compared'));
    if (!closing.signal.aborted) timer = setTimeout(() => void keepComparing(ssh), COMPARE_EVERY_MS).unref();
  };

  return {
    listen: listeners.listen,
    unlisten: listeners.unlisten,
    async serve(ssh) {
      served = ssh;
      await keepComparing(ssh);
    },
    close() {
      closing.abort(new Error('The server is stopping'));
      clearTimeout(timer);
      listeners.close();
    },
  };
}

/** What is being started refuses at first. Whoever comes then waits for a moment instead of being sent away. */
async function patiently<Result>(client: Duplex, connect: () => Promise<Result>): Promise<Result | undefined> {
  const waited = stopwatch();
  while (!client.destroyed) {
    try {
      return await connect();
    } catch (error) {
      if (!isAppError(error, 'conflict') || waited() >= STARTING_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, STARTING_PAUSE_MS));
    }
  }
  return undefined;
}

type Listening = Door & { listener: TcpListener };

/** One listener for each machine, at its port. */
function createListeners(host: string, onConnection: (machineId: MachineId, socket: Duplex) => Promise<void>) {
  const listening = new Map<MachineId, Listening>();
  const opening = new Map<MachineId, Promise<boolean>>();
  const connections = createPlaces(MAX_CONNECTIONS);
  let isClosed = false;

  const unlisten = (machineId: MachineId): void => {
    listening.get(machineId)?.listener.close();
    listening.delete(machineId);
  };

  const take = (machineId: MachineId, socket: Duplex, address: string | undefined): void => {
    const network = networkOf(address);
    if (!listening.has(machineId) || !connections.take(machineId, network)) return void socket.destroy();
    socket.once('close', () => connections.give(machineId, network));
    void onConnection(machineId, socket);
  };

  const begin = async (door: Door): Promise<boolean> => {
    unlisten(door.machineId);
    const listener = await listenTcp({ host, port: door.port }, (socket, address) =>
      take(door.machineId, socket, address),
    ).catch((cause: unknown) => {
      throw new AppError('unconfigured', 'SSH is not set up on this server', { cause });
    });
    if (listener && !isClosed) listening.set(door.machineId, { ...door, listener });
    else listener?.close();
    return listener !== undefined;
  };

  return {
    unlisten,
    machines: () => [...listening.keys()],
    async listen(door: Door): Promise<boolean> {
      // One at a time for each machine, or the second would find the port taken by the first.
      for (let other; (other = opening.get(door.machineId));) await other;
      if (listening.get(door.machineId)?.port === door.port) return true;
      const opened = begin(door).finally(() => opening.delete(door.machineId));
      opening.set(
        door.machineId,
        opened.catch(() => false), // told to whoever asked for it
      );
      return await opened;
    },
    close() {
      isClosed = true;
      for (const machineId of listening.keys()) unlisten(machineId);
    },
  };
}
