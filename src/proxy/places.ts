import type { MachineId } from '../kernel/ids.ts';
import { createShares } from '../kernel/shares.ts';

/** Connections that are open: into one machine, into all of them, and of those into one machine so many from one network. */
export type MostOpen = { each: number; all: number; network: number };

export type Places = {
  /** False where the machine, all machines or the network have as many open as they may. */
  take(machineId: MachineId, network: string): boolean;
  give(machineId: MachineId, network: string): void;
};

/** Counts what is open into each machine, and what of it each network has, so that none keeps a machine from all others. */
export function createPlaces({ network: ofOneNetwork, ...most }: MostOpen): Places {
  const machines = createShares<MachineId>(most);
  const networks = createShares<string>({ each: ofOneNetwork, all: Infinity });
  const keyOf = (machineId: MachineId, network: string): string => `${machineId} ${network}`;
  return {
    take(machineId, network) {
      if (!networks.take(keyOf(machineId, network))) return false;
      const isTaken = machines.take(machineId);
      if (!isTaken) networks.give(keyOf(machineId, network));
      return isTaken;
    },
    give(machineId, network) {
      machines.give(machineId);
      networks.give(keyOf(machineId, network));
    },
  };
}
