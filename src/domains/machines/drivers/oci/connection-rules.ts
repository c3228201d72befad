import { readFile, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { mostMachines } from '../../room.ts';
import { markOf } from './gate-rules.ts';
import { groupOf } from './network.ts';

/** Connections that one machine may have open; and so many that others have opened into it. */
export const MAX_CONNECTIONS = 4_096;
/** What the host itself has in the same table: as many as the kernel has room for by default. */
const HOST_CONNECTIONS = 262_144;
/** Every address that a machine can have. */
const ADDRESSES = 65_536;
const MIB = 1_048_576;

/** The kernel's table of connections, which the whole host shares. */
const TABLE_SIZE = '/proc/sys/net/netfilter/nf_conntrack_max';
/** In a network namespace of its own a host may not set it. */
const NOT_OURS = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS']);

export const countingTableOf = (instance: string): string => `freehold_${instance}_counts`;

/**
 * Counts the connections of each machine, of what the other rules let pass. They stand in a table of their own, of which
 * what was counted is kept when the rules are put in place again; else each time a machine could open as many once more.
 */
export function countingRules(instance: string): string {
  const table = `inet ${countingTableOf(instance)}`;
  const machines = groupOf(instance);
  const set = (name: string) => `add set ${table} ${name} { type ipv4_addr; size ${ADDRESSES}; flags dynamic; }`;
  const refused = (name: string, whose: string) =>
    `ct state new add @${name} { ip ${whose} ct count over ${MAX_CONNECTIONS} } drop`;
  return `
add table ${table}
${set('opened')}
${set('taken')}
add chain ${table} gated { type filter hook prerouting priority -149; policy accept; }
add chain ${table} forwarded { type filter hook forward priority -9; policy accept; }
flush chain ${table} gated
flush chain ${table} forwarded
add rule ${table} gated iifgroup ${machines} meta mark ${markOf(instance)} ${refused('opened', 'saddr')}
add rule ${table} forwarded oifgroup ${machines} ${refused('taken', 'daddr')}
add rule ${table} forwarded iifgroup ${machines} oifgroup != ${machines} ${refused('opened', 'saddr')}
`;
}

/** Has the kernel's table take all connections of as many machines as the host has memory for, and still the host's own. */
export async function makeRoomForConnections(): Promise<void> {
  const least = mostMachines(totalmem() / MIB) * 2 * MAX_CONNECTIONS + HOST_CONNECTIONS;
  try {
    if (Number(await readFile(TABLE_SIZE, 'utf8')) < least) await writeFile(TABLE_SIZE, String(least));
  } catch (error) {
    if (!NOT_OURS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
