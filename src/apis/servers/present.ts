import type { z } from 'zod';
import type {
  Backup,
  BackupSchedule,
  BackupState,
  Deployed,
  Plan,
  Server,
  ServerAccess,
  ServerState,
} from '../../domains/compute/index.ts';
import type { Profile } from '../../domains/identity/index.ts';
import { stateOf, type Topup } from '../../domains/payments/index.ts';
import { assert } from '../../kernel/errors.ts';
import { MICROS_PER_CENT, toDecimal, type Usd } from '../../kernel/money.ts';
import type { UserShown } from './auth.ts';
import type { BackupShown } from './backups.ts';
import type { PlanShown } from './catalogue.ts';
import type { ScheduleShown } from './schedules.ts';
import type { TopupShown } from './topups.ts';
import type { DeployedShown, ServerShown } from './wire.ts';

/** From our nouns to the contract's JSON: pure functions. */

/** To the nearest cent, as the contract's own example has it: $10 less three hours of $0.0137 are 9.96. */
export function presentBalance(amount: Usd): string {
  const cents = (amount + MICROS_PER_CENT / 2n) / MICROS_PER_CENT;
  return `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`;
}

/** All digits that say something: `0.0137`, `0`. */
export const presentPrice = (amount: Usd): string => toDecimal(amount, 'USD').replace(/\.?0+$/, '');

export const presentUser = (profile: Profile, balance: Usd): z.input<typeof UserShown> => ({
  id: profile.id,
  email: profile.email ?? null,
  balance: presentBalance(balance),
});

const STATUS = {
  provisioning: 'PROVISIONING',
  active: 'ACTIVE',
  suspended: 'SUSPENDED',
  error: 'ERROR',
  destroying: 'DESTROYING',
  destroyed: 'DESTROYED',
} as const satisfies Record<ServerState, string>;

export function presentServer(server: Server, access: ServerAccess | undefined): z.input<typeof ServerShown> {
  const { plan, region } = server;
  assert(plan && region, 'a server has a plan and a region');
  return {
    id: server.id,
    label: server.name,
    status: STATUS[server.state],
    region,
    plan,
    ipv4: access?.ipv4 ?? null,
    hourlyPrice: presentPrice(server.meter.price),
    createdAt: server.createdAt.toISOString(),
    power: server.power,
    ssh: access === undefined ? null : presentSsh(access),
    paidUntil: server.meter.paidUntil?.toISOString() ?? null,
    suspendedAt: server.suspendedAt?.toISOString() ?? null,
    error: server.failure ?? null,
  };
}

const presentSsh = ({ host, port, fingerprint, knownHosts }: ServerAccess) =>
  ({ host, port, user: 'root', fingerprint, knownHosts }) as const;

export const presentDeployed = ({ server, rootPassword }: Deployed): z.input<typeof DeployedShown> => ({
  ...presentServer(server, undefined),
  ...(rootPassword !== undefined && { rootPassword }),
});

const MIB_PER_GIB = 1_024;

export const presentPlan = (plan: Plan): z.input<typeof PlanShown> => ({
  id: plan.id,
  name: plan.name,
  vcpus: plan.vcpus,
  memoryGb: plan.memoryMb / MIB_PER_GIB,
  diskGb: plan.diskGb,
  monthlyPrice: presentPrice(plan.monthly),
  hourlyPrice: presentPrice(plan.hourly),
});

const BACKUP_STATUS = {
  pending: 'PENDING',
  available: 'AVAILABLE',
  error: 'ERROR',
  expired: 'EXPIRED',
} as const satisfies Record<BackupState, string>;

export const presentBackup = (backup: Backup): z.input<typeof BackupShown> => ({
  id: backup.id,
  label: backup.label,
  status: BACKUP_STATUS[backup.state],
  region: backup.region,
  plan: backup.plan,
  createdAt: backup.createdAt.toISOString(),
  expiresAt: backup.expiresAt.toISOString(),
  serverId: backup.serverId,
  scheduled: backup.scheduled,
  sizeBytes: backup.content?.bytes ?? null,
  error: backup.failure ?? backup.waiting?.reason ?? null,
});

export const presentSchedule = (schedule: BackupSchedule): z.input<typeof ScheduleShown> => ({
  everyHours: schedule.everyHours,
  keep: schedule.keep,
  nextAt: schedule.nextAt.toISOString(),
  skipped: schedule.skipped ?? null,
});

/** With two decimals, and as many more as say something. */
const presentAmount = (amount: Usd): string => toDecimal(amount, 'USD').replace(/(\.\d{2}\d*?)0+$/, '$1');

export const presentTopup = (topup: Topup, confirmationsNeeded: number, now: Date): z.input<typeof TopupShown> => ({
  id: topup.id,
  address: topup.address,
  amount: presentAmount(topup.amount),
  expiresAt: topup.expiresAt.toISOString(),
  status: stateOf(topup, now),
  receivedUsd: presentAmount(topup.received),
  coin: topup.coin.symbol,
  chainId: topup.coin.chainId,
  token: topup.coin.token,
  decimals: topup.coin.decimals,
  confirmations: topup.confirmations,
  confirmationsNeeded,
  createdAt: topup.createdAt.toISOString(),
});
