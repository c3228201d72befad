import type { Usage } from './drivers/driver.ts';
import type { Machine } from './machine.ts';
import type { Used } from './store.ts';

/** What a machine has used in all. The host counts from 0 each time it is booted. */
export const usedBy = ({ usedBefore }: Machine, usage: Usage | undefined): Used => ({
  cpuSeconds: usedBefore.cpuSeconds + (usage?.cpuSeconds ?? 0),
  networkReceivedBytes: usedBefore.networkReceivedBytes + (usage?.networkReceivedBytes ?? 0),
  networkSentBytes: usedBefore.networkSentBytes + (usage?.networkSentBytes ?? 0),
});

/** What a machine uses now, with what it has used in all. */
export const usageOf = (machine: Machine, usage: Usage | undefined): Usage | undefined =>
  usage && { ...usage, ...usedBy(machine, usage) };
