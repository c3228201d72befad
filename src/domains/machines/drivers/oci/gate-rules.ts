import { createHash } from 'node:crypto';
import { must, run } from '../../../../platform/run.ts';
import type { LinkRules } from './firewall.ts';
import { groupOf, MACHINE_NET } from './network.ts';

/** Below the ports that the kernel gives out by itself. */
const FIRST_PORT = 20_000;
const PORTS = 12_000;
/** Of the rule that leads to the gate; the kernel's own for its main table has 32766. */
const RULE_PREFERENCE = '1000';

/** Where the gate of an instance listens: an address of the loopback and a port that nobody else is likely to have. */
export function gateOf(instance: string): { host: string; port: number } {
  const digest = createHash('sha256').update(`gate ${instance}`).digest();
  const part = (index: number) => 1 + (digest.readUInt8(index) % 254);
  return { host: `127.${part(0)}.${part(1)}.${part(2)}`, port: FIRST_PORT + (digest.readUInt16BE(4) % PORTS) };
}

/** What packets on their way to the gate bear on the host, which is also the number of the table that routes them. */
export const markOf = (instance: string): number => groupOf(instance);

/**
 * Takes connections of gated machines out of their way, to the gate's listener, with the address that they wanted. It
 * comes before any table rewrites addresses. Where nobody listens they are dropped, as they are where the route to the
 * gate is missing: nothing that is gated is ever forwarded.
 */
export function gateRules(rules: readonly LinkRules[], instance: string): string {
  const { host, port } = gateOf(instance);
  const links = (gate: LinkRules['gate']) => rules.filter((each) => each.gate === gate).map(({ link }) => `"${link}"`);
  const set = (name: string, elements: string[]) =>
    `  set ${name} { type ifname; ${elements.length === 0 ? '' : `elements = { ${elements.join(', ')} }`} }\n`;
  return `${set('web_gated', links('web'))}${set('tcp_gated', links('tcp'))}  chain gate {
    type filter hook prerouting priority mangle; policy accept;
    iifname @web_gated meta nfproto ipv4 tcp dport { 80, 443 } jump to_gate
    iifname @tcp_gated meta nfproto ipv4 meta l4proto tcp jump to_gate
  }
  chain to_gate {
    ct direction reply return
    meta l4proto tcp tproxy ip to ${host}:${port} meta mark set ${markOf(instance)} accept
    drop
  }
`;
}

/** What has the mark is delivered here, whatever its address; machines themselves are found as always. */
export async function routeToGate(instance: string, isNeeded: boolean): Promise<void> {
  if (!isNeeded) return;
  const table = String(markOf(instance));
  await must(['ip', 'route', 'replace', 'throw', MACHINE_NET, 'table', table]);
  await must(['ip', 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', table]);
  // Of the same rule with the same preference there is one: a second is refused, and that is well.
  await run(['ip', 'rule', 'add', ...ruleOf(table)]);
}

const ruleOf = (table: string): string[] => ['pref', RULE_PREFERENCE, 'fwmark', table, 'lookup', table];

export async function unrouteGate(instance: string): Promise<void> {
  const table = String(markOf(instance));
  await run(['ip', 'rule', 'delete', ...ruleOf(table)]);
  await run(['ip', 'route', 'flush', 'table', table]);
}
