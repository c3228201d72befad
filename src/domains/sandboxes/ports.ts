import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import type { Db } from '../../platform/db.ts';
import { shownOf, type Kept } from './kept.ts';
import { isLiving, lockLiving, ownSandbox } from './policy.ts';
import { findSubdomain, lockSubdomain, portsOf, removePort, savePort } from './port-store.ts';
import type { ExposedPort, Sandbox, Visibility } from './sandbox.ts';
import { findByCode, findById } from './store.ts';
import type { SandboxesWorld } from './world.ts';

export const MAX_PORT = 65_535;
export const MAX_EXPOSED_PORTS = 100;
const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]$/;
/** Names that would pass for ours, or for a part of how names work. */
const RESERVED = new Set(
  `about abuse account accounts admin administrator api app apps assets auth autoconfig autodiscover billing blog cdn
   console dashboard dev dns docs e2b email envd files freehold ftp git grid health help hostmaster imap info internal
   localhost login mail metrics mx news noc ns ns1 ns2 oauth pay payments pop pop3 postmaster private proxy public root
   sandbox sandboxes secure security server servers shop signin signup smtp ssh ssl staging static stats status support
   system terminal test tls usenet vpn webmaster webmail wpad www`.split(/\s+/),
);
/** How every port of a sandbox is called anyway. */
const PORT_LABEL = /^(\d{1,5})-([a-z][a-z0-9]{19})$/;

export type Exposure = { port: number; subdomain?: string | undefined; visibility?: Visibility | undefined };

/** Gives a port an address. Throws `conflict` where the subdomain is another's or nobody's to have. */
export async function expose(
  world: SandboxesWorld,
  op: Op,
  reference: string,
  request: Exposure,
): Promise<ExposedPort> {
  const { subdomain } = request;
  if (!(Number.isInteger(request.port) && request.port >= 1 && request.port <= MAX_PORT))
    throw new AppError('invalid', `port must be from 1 to ${MAX_PORT}`);
  if (subdomain !== undefined) checkSubdomain(subdomain);
  const found = await ownSandbox(world.db, op, reference);
  return world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    if (subdomain !== undefined) await lockSubdomain(tx, subdomain);
    const earlier = await portsOf(tx, kept.id);
    const own = earlier.find(({ port }) => port === request.port);
    if (!own && earlier.length >= MAX_EXPOSED_PORTS)
      throw new AppError('conflict', `A sandbox may expose ${MAX_EXPOSED_PORTS} ports.`);
    const exposed = {
      port: request.port,
      subdomain: subdomain ?? own?.subdomain,
      visibility: request.visibility ?? own?.visibility ?? 'public',
    };
    if (!(await savePort(tx, kept.id, exposed))) throw new AppError('conflict', 'Subdomain unavailable');
    return exposed;
  });
}

function checkSubdomain(subdomain: string): void {
  if (!SUBDOMAIN.test(subdomain))
    throw new AppError(
      'invalid',
      'subdomain must be 3 to 63 lower-case letters, digits and hyphens, with no hyphen at its ends',
    );
  // What begins with vm- are names of rented computers, and with envd's port the addresses of sandboxes' own daemons.
  if (RESERVED.has(subdomain) || PORT_LABEL.test(subdomain) || /^(xn--|vm-|49983-)/.test(subdomain))
    throw new AppError('conflict', 'Subdomain unavailable');
}

export async function unexpose(world: SandboxesWorld, op: Op, reference: string, port: number): Promise<void> {
  const found = await ownSandbox(world.db, op, reference);
  const removed = await world.db.transact((tx) => removePort(tx, found.id, port));
  if (!removed) throw new AppError('not_found', 'Port not found');
}

export async function ports(world: SandboxesWorld, op: Op, reference: string): Promise<ExposedPort[]> {
  return portsOf(world.db, (await ownSandbox(world.db, op, reference)).id);
}

export type Addressed = { sandbox: Sandbox; port: number; visibility: Visibility };

/** Whose name this is. By number an E2B sandbox shows every port, any other those that it has exposed. */
export async function byHostLabel({ db }: SandboxesWorld, label: string): Promise<Addressed | undefined> {
  const [, number, code] = PORT_LABEL.exec(label) ?? [];
  if (code === undefined) return bySubdomain(db, label);
  const port = Number(number);
  const kept = port >= 1 && port <= MAX_PORT ? await findByCode(db, code) : undefined;
  if (!kept || !isLiving(kept)) return undefined;
  const exposed = (await portsOf(db, kept.id)).find((one) => one.port === port);
  return exposed || kept.origin === 'e2b' ? addressed(kept, port, exposed?.visibility) : undefined;
}

async function bySubdomain(db: Db, subdomain: string): Promise<Addressed | undefined> {
  const found = await findSubdomain(db, subdomain);
  const kept = found && (await findById(db, found.sandboxId));
  return kept && isLiving(kept) ? addressed(kept, found.port, found.visibility) : undefined;
}

const addressed = (kept: Kept, port: number, visibility: Visibility = 'public'): Addressed => ({
  sandbox: shownOf(kept),
  port,
  visibility: kept.network.publicTraffic ? visibility : 'private',
});
