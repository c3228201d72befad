import type { z } from 'zod';
import { subdomainOf, type Server } from '../../domains/compute/index.ts';
import { fingerprintOf, type SshAccess } from '../../domains/machines/index.ts';
import { floorToCents } from '../../kernel/money.ts';
import type { InstanceDetails, InstanceListed, InstanceShown } from './compute-wire.ts';

type Status = z.input<typeof InstanceShown>['status'];

const STATUS = {
  provisioning: 'provisioning',
  active: 'running',
  suspended: 'suspended',
  error: 'error',
  destroying: 'error',
  destroyed: 'error',
} as const satisfies Record<Server['state'], Status>;

const statusOf = ({ state, power }: Server): Status =>
  state === 'active' && power === 'off' ? 'stopped' : STATUS[state];

const fields = (server: Server) => ({
  id: server.id.replaceAll('-', ''),
  name: server.name,
  slug: server.slug ?? null,
  status: statusOf(server),
  vcpu: server.limits.vcpus,
  memory_mb: server.limits.memoryMb,
  disk_gb: server.limits.diskGb,
  monthly_price_cents: floorToCents(server.meter.price),
});

const times = (server: Server) => ({
  subdomain: subdomainOf(server) ?? null,
  created_at: server.createdAt.toISOString(),
  next_billing_at: server.meter.paidUntil?.toISOString() ?? null,
});

const short = ({ host, port }: SshAccess) => ({ host, port, user: 'agent' }) as const;

const whole = (access: SshAccess) => ({
  ...short(access),
  fingerprint: fingerprintOf(access.authorizedKeys[0] ?? ''),
  command: `ssh -p ${access.port} agent@${access.host}`,
  host_fingerprint: access.fingerprint,
  known_hosts: access.knownHosts,
});

export const presentListed = (server: Server, access: SshAccess | undefined): z.input<typeof InstanceListed> => ({
  ...fields(server),
  ssh: access === undefined ? null : short(access),
  ...times(server),
});

export const presentInstance = (server: Server, access: SshAccess | undefined): z.input<typeof InstanceShown> => ({
  ...fields(server),
  ssh: access === undefined ? null : whole(access),
  ...times(server),
});

export const presentDetails = (server: Server, access: SshAccess | undefined): z.input<typeof InstanceDetails> => ({
  ...presentInstance(server, access),
  suspended_at: server.suspendedAt?.toISOString() ?? null,
});
