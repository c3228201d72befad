import type { Duplex } from 'node:stream';
import type { MachineId } from '../../../kernel/ids.ts';
import { MINUTE, SECOND } from '../../../kernel/time.ts';
import { greetingOf } from '../../../platform/egress/greeting.ts';
import { answeredAs, createRequests } from '../../../platform/egress/requests.ts';
import { join } from '../../../platform/join.ts';
import { createShares } from '../../../kernel/shares.ts';
import type { GateCall } from '../drivers/driver.ts';
import { permitsAddress, permitsName, transformFor, type EgressRules } from '../rules.ts';
import { rulesOfRunning } from '../store.ts';
import type { MachinesWorld } from '../world.ts';
import { reachAddress, reachHost } from './reach-out.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
/** Connections at a time, in one process: of one machine, and of all of them. */
export const MAX_OPEN = { each: 1_024, all: 8_192 };
const IDLE_MS = 15 * MINUTE;
/** Web clients speak first, and at once. */
const GREETING_MS = 5 * SECOND;
/** How often what is open is compared with the rules in the database, where other processes write as well. */
const COMPARE_EVERY_MS = 500;
const OPEN_AGAIN_MS = 5 * SECOND;

export type Gateway = {
  /** Takes what gated machines open, from now on. */
  open(): Promise<void>;
  /** Cuts what the rules, as they are now, do not allow any more. */
  compare(): Promise<void>;
  close(): void;
};

/** A connection that was let through, and whether it would be under other rules. */
type Passing = { call: GateCall; rules: string; mayStay: (rules: EgressRules) => boolean };

/**
 * Passes on what machines with rules for names, headers or a proxy open. Whose a connection is, the driver says; what
 * that machine may do is read anew for each, so that nothing is allowed by what some process remembers.
 */
export function createGateway(world: MachinesWorld): Gateway {
  const passing = new Set<Passing>();
  const shares = createShares<MachineId>(MAX_OPEN);
  const requests = createRequests();
  let opened: { close(): void } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const take = (call: GateCall): void => {
    if (!shares.take(call.machine)) return void call.stream.destroy();
    const entry: Passing = { call, rules: '', mayStay: () => true };
    passing.add(entry);
    call.stream.once('close', () => {
      passing.delete(entry);
      shares.give(call.machine);
    });
    pass(world, requests, entry).catch((error: Error) => {
      // A host that does not answer is its own affair; what it is called may tell of the tenant, so it is not logged.
      world.log.debug({ machineId: call.machine, reason: error.message }, 'a connection could not be passed on');
      call.stream.destroy();
    });
  };

  const compare = async (): Promise<void> => {
    const ids = [...new Set([...passing].map(({ call: { machine } }) => machine))];
    if (ids.length === 0) return;
    const before = [...passing];
    const rules = await rulesOfRunning(world.db, ids);
    for (const entry of before) if (!remains(entry, rules.get(entry.call.machine))) entry.call.stream.destroy();
  };

  const keepComparing = async (): Promise<void> => {
    // What cannot be compared may be forbidden by now.
    await compare().catch(() => passing.forEach(({ call }) => call.stream.destroy()));
    if (!isClosed) timer = setTimeout(() => void keepComparing(), COMPARE_EVERY_MS).unref();
  };

  const open = async (): Promise<void> => {
    try {
      opened = await world.driver.openGate(take);
      if (isClosed) opened.close();
      else void keepComparing();
    } catch (error) {
      // Until it is open, machines that need it reach nothing.
      world.log.error({ err: error }, 'the way out for machines with rules could not be opened');
      if (!isClosed) timer = setTimeout(() => void open(), OPEN_AGAIN_MS).unref();
    }
  };

  return {
    open,
    compare,
    close() {
      isClosed = true;
      clearTimeout(timer);
      opened?.close();
      for (const { call } of passing) call.stream.destroy();
    },
  };
}

function remains(entry: Passing, rules: EgressRules | undefined): boolean {
  if (!rules) return false;
  return entry.rules === '' || JSON.stringify(rules) === entry.rules || entry.mayStay(rules);
}

async function pass(world: MachinesWorld, requests: ReturnType<typeof createRequests>, entry: Passing): Promise<void> {
  const { machine, address, port, stream } = entry.call;
  const rules = await currentRules(world, machine);
  if (!rules) return void stream.destroy();
  entry.rules = JSON.stringify(rules);
  const isWeb = port === HTTP_PORT || port === HTTPS_PORT;
  const byAddress = permitsAddress(rules, address);
  if (!isWeb || (byAddress && !rules.transforms?.length)) return passByAddress(world, entry, rules);
  const greeting = await greetingOf(stream, GREETING_MS);
  if (stream.destroyed) return;
  if (greeting.kind === 'http' && !byAddressAlone(rules, byAddress)) return serveHttp(world, requests, entry, port);
  const name = greeting.kind === 'tls' ? greeting.name : undefined;
  if (name !== undefined && transformFor(rules, name)) return serveTls(world, requests, entry, name);
  if (name !== undefined && permitsName(rules, name)) return passByName(world, entry, rules, name);
  return passByAddress(world, entry, rules);
}

/** Plain requests are looked at one by one wherever their host decides about them. */
const byAddressAlone = ({ transforms = [] }: EgressRules, permitted: boolean): boolean =>
  permitted && transforms.length === 0;

async function currentRules(world: MachinesWorld, id: MachineId): Promise<EgressRules | undefined> {
  return (await rulesOfRunning(world.db, [id])).get(id);
}

async function passByAddress(world: MachinesWorld, entry: Passing, rules: EgressRules): Promise<void> {
  const { stream, address, port } = entry.call;
  if (!permitsAddress(rules, address)) return void stream.destroy();
  entry.mayStay = (next) => permitsAddress(next, address) && isSameWay(rules, next);
  await joined(stream, await reachAddress(world, rules, address, port));
}

async function passByName(world: MachinesWorld, entry: Passing, rules: EgressRules, name: string): Promise<void> {
  const { stream, port } = entry.call;
  entry.mayStay = (next) => permitsName(next, name) && isSameWay(rules, next);
  await joined(stream, await reachHost(world, rules, name, port));
}

/** What would be done with its bytes on the way. */
const isSameWay = (one: EgressRules, other: EgressRules): boolean =>
  JSON.stringify([one.proxy, one.transforms]) === JSON.stringify([other.proxy, other.transforms]);

async function joined(stream: Duplex, outside: Duplex): Promise<void> {
  if (stream.destroyed) return void outside.destroy();
  await join(stream, outside, IDLE_MS);
}

function serveHttp(
  world: MachinesWorld,
  requests: ReturnType<typeof createRequests>,
  entry: Passing,
  port: number,
): void {
  const { stream, machine, address } = entry.call;
  entry.mayStay = () => false;
  requests.serve(stream, async (name = address) => {
    const rules = await currentRules(world, machine);
    if (!rules) return undefined;
    const headers = transformFor(rules, name)?.headers ?? {};
    const isNamed = permitsName(rules, name);
    // A request that nobody changes goes where the machine meant it to; one that is changed, only to its host itself.
    if (!isNamed && !transformFor(rules, name))
      return permitsAddress(rules, address)
        ? { headers, dial: () => reachAddress(world, rules, address, port) }
        : undefined;
    return { headers, dial: () => reachHost(world, rules, name, port) };
  });
}

function serveTls(
  world: MachinesWorld,
  requests: ReturnType<typeof createRequests>,
  entry: Passing,
  name: string,
): void {
  const { stream, machine, port } = entry.call;
  if (!world.authority) return void stream.destroy();
  entry.mayStay = () => false;
  const secure = answeredAs(stream, world.authority.contextFor(name));
  requests.serve(secure, async (asked) => {
    const rules = await currentRules(world, machine);
    // The certificate that was checked is for one name: nothing else is asked over the connection.
    if (!rules || asked !== name) return undefined;
    const headers = transformFor(rules, name)?.headers ?? {};
    return { headers, dial: () => reachHost(world, rules, name, port, 'tls') };
  });
}
