import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../../../../kernel/errors.ts';
import { must } from '../../../../platform/run.ts';
import type { NetworkRules } from '../driver.ts';
import { countingRules, countingTableOf, makeRoomForConnections } from './connection-rules.ts';
import { gateRules, markOf, routeToGate, unrouteGate } from './gate-rules.ts';
import { isMachineName, placesOf, type Layout } from './layout.ts';
import { groupOf, MACHINE_NET, resolversFrom } from './network.ts';
import { bootId } from './record.ts';

/** Everything that is not the public internet, and the machines' own range. */
const FORBIDDEN = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  MACHINE_NET,
  '224.0.0.0/3',
];

const tableOf = (instance: string): string => `freehold_${instance}`;

/** What one machine may reach, by the name of its link. */
export type LinkRules = NetworkRules & {
  link: string;
  address?: OwnAddress | undefined;
  /** Its name servers, where it may always ask them. */
  resolvers?: readonly string[] | undefined;
};
/** Rules with the name servers that machines are told of, where they are to be reached whatever is denied. */
export async function linkRulesOf(rules: NetworkRules): Promise<NetworkRules & Pick<LinkRules, 'resolvers'>> {
  if (!rules.resolves) return rules;
  return { ...rules, resolvers: resolversFrom((await readFile('/etc/resolv.conf', 'utf8').catch(absent)) ?? '') };
}

/** What the world calls a machine, and what its link does. */
export type OwnAddress = { outside: string; inside: string };

const ADDRESS = /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/;
const LINK = /^[a-z0-9]{1,15}$/;

const chainOf = ({ link }: Pick<LinkRules, 'link'>): string => `only_${link}`;

/** What is allowed goes on to the rules for all machines: nothing here opens what those forbid. */
function chainFor(rules: LinkRules): string[] {
  assert(LINK.test(rules.link), 'a link is named by us');
  assert(
    [...rules.allow, ...rules.deny, ...(rules.resolvers ?? [])].every((range) => ADDRESS.test(range)),
    'rules hold IPv4 addresses and ranges',
  );
  return [
    ...(rules.resolvers ?? []).map((address) => `ip daddr ${address} meta l4proto { tcp, udp } th dport 53 return`),
    ...rules.allow.map((range) => `ip daddr ${range} return`),
    ...rules.deny.map((range) => `ip daddr ${range} drop`),
  ];
}

/**
 * The rules of one instance. They know machines by the interface group of their links, so that a machine may come and
 * go without a change here; one that may reach less than others has a chain of its own. Nothing from a machine is
 * delivered to the host itself, whatever the address; only answers to connections that the host opened may come back.
 * The forbidden ranges are matched after other tables have rewritten addresses, so that a port published by another
 * program on the host is no way round.
 */
export function rulesetOf(instance: string, all: readonly LinkRules[] = []): string {
  const rules = all.filter(({ allow, deny }) => allow.length + deny.length > 0);
  const table = tableOf(instance);
  const machines = groupOf(instance);
  const chains = rules.map((each) => `  chain ${chainOf(each)} {\n    ${chainFor(each).join('\n    ')}\n  }\n`);
  const jumps = rules.map((each) => `"${each.link}" : jump ${chainOf(each)}`).join(', ');
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
${chains.join('')}  map own_rules { type ifname : verdict; ${jumps && `elements = { ${jumps} }`} }
${addressRules(all, instance)}${gateRules(all, instance)}  chain input {
    type filter hook input priority -10; policy accept;
    iifgroup ${machines} ct state established,related ct direction reply accept
    iifgroup ${machines} meta mark ${markOf(instance)} accept
    iifgroup ${machines} drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifgroup ${machines} jump from_machine
    oifgroup ${machines} ct state established,related accept
    oifgroup ${machines} ct status dnat accept
    oifgroup ${machines} drop
  }
  chain from_machine {
    meta nfproto ipv6 drop
    meta mark ${markOf(instance)} drop
    ct state established,related ct direction reply accept
    oifgroup ${machines} ct status dnat accept
    ip daddr { ${FORBIDDEN.join(', ')} } drop
    oifgroup ${machines} drop
    ct state invalid drop
    iifname vmap @own_rules
    accept
  }
  chain outgoing {
    type nat hook postrouting priority srcnat; policy accept;
    iifgroup ${machines} oifgroup != ${machines} snat ip to ip saddr map @outside_of
    ip saddr ${MACHINE_NET} iifgroup ${machines} oifgroup != ${machines} masquerade
  }
}
`;
}

/**
 * Machines with an address of their own: what comes for it goes to them, with all ports, and what they send has it.
 * Nothing else lets anybody begin a connection into a machine.
 */
function addressRules(rules: readonly LinkRules[], instance: string): string {
  const addresses = rules.flatMap(({ address }) => (address ? [address] : []));
  assert(
    addresses.every(({ outside, inside }) => ADDRESS.test(outside) && ADDRESS.test(inside)),
    'an address is one of IPv4',
  );
  const map = (name: string, pairs: string[]) =>
    `  map ${name} { type ipv4_addr : ipv4_addr; ${pairs.length === 0 ? '' : `elements = { ${pairs.join(', ')} }`} }`;
  return `${map(
    'inside_of',
    addresses.map(({ outside, inside }) => `${outside} : ${inside}`),
  )}
${map(
  'outside_of',
  addresses.map(({ outside, inside }) => `${inside} : ${outside}`),
)}
  chain incoming {
    type nat hook prerouting priority dstnat; policy accept;
    meta mark ${markOf(instance)} return
    dnat ip to ip daddr map @inside_of
  }
  chain from_host {
    type nat hook output priority -100; policy accept;
    dnat ip to ip daddr map @inside_of
  }
`;
}

export type Firewall = {
  /** Has the rules in place before a machine is. */
  ensure(): Promise<void>;
  /** Puts the rules in place, as a whole and at once; also where they are already. */
  apply(): Promise<void>;
  /** What was set for a machine that has rules of its own. */
  rulesOf(id: string): Promise<LinkRules | undefined>;
  /** The links that have rules of their own, also those of machines that have died and were not removed yet. */
  ruledLinks(): Promise<ReadonlySet<string>>;
  /** What a machine may reach from now on. */
  setRules(id: string, rules: LinkRules): Promise<void>;
  /** Before a machine's link goes, so that the next one of this name does not inherit them. */
  forgetRules(id: string): Promise<void>;
  remove(): Promise<void>;
};

/**
 * Whether the rules are there is kept in a file, so that processes of one installation know it of each other and a
 * reboot is noticed; a look at the rules themselves would cost as much as putting them there. Rules that someone else
 * took away are back after the next sweep.
 */
export function firewallOf(layout: Layout): Firewall {
  const { instance, runDir } = layout;
  const tables = [tableOf(instance), countingTableOf(instance)].map((name) => `table inet ${name}`);
  const mark = join(runDir, 'firewall');
  const apply = async () => {
    let rulesInPlace: LinkRules[] = [];
    for (let before = ''; ;) {
      const rules = (rulesInPlace = await allRules(layout));
      const ruleset = rulesetOf(instance, rules);
      // Rules that were set while we put the older ones in place must not be lost.
      if (ruleset === before) break;
      await must(['nft', '-f', '-'], { stdin: ruleset + countingRules(instance), dieWithParent: true });
      before = ruleset;
    }
    await routeToGate(
      instance,
      rulesInPlace.some(({ gate }) => gate),
    );
    await allowForwarding();
    await makeRoomForConnections();
    await writeFile(mark, await bootId(), { mode: OWNER_ONLY });
  };
  const ensure = async () => {
    if ((await readFile(mark, 'utf8').catch(absent)) !== (await bootId())) await apply();
  };
  return {
    apply,
    ensure,
    rulesOf: async (id) => {
      const text = await readFile(placesOf(layout, id).rules, 'utf8').catch(absent);
      return text === undefined ? undefined : (JSON.parse(text) as LinkRules);
    },
    ruledLinks: async () => new Set((await allRules(layout)).map(({ link }) => link)),
    setRules: async (id, rules) => {
      const file = placesOf(layout, id).rules;
      await writeFile(`${file}.new`, JSON.stringify(rules), { mode: OWNER_ONLY });
      await rename(`${file}.new`, file);
      await apply();
    },
    forgetRules: async (id) => {
      const file = placesOf(layout, id).rules;
      if ((await readFile(file, 'utf8').catch(absent)) === undefined) return;
      await rm(file, { force: true });
      await apply();
    },
    remove: async () => {
      await rm(mark, { force: true });
      const stdin = tables.map((table) => `add ${table}\ndelete ${table}\n`).join('');
      await must(['nft', '-f', '-'], { stdin, dieWithParent: true });
      await unrouteGate(instance);
    },
  };
}

/** The rules of every machine that has some of its own. */
async function allRules(layout: Layout): Promise<LinkRules[]> {
  const names = ((await readdir(layout.machinesDir).catch(absent)) ?? []).filter(isMachineName).toSorted();
  const texts = await Promise.all(names.map((name) => readFile(placesOf(layout, name).rules, 'utf8').catch(absent)));
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as LinkRules]));
}

const OWNER_ONLY = 0o600;
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

async function allowForwarding(): Promise<void> {
  if ((await readFile(FORWARDING, 'utf8')).trim() === '0') await writeFile(FORWARDING, '1');
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
