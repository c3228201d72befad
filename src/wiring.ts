/** Composition of what has many parts of its own: machines, and the computers that are rented on them. */
import { join } from 'node:path';
import type { Config } from './config.ts';
import {
  createCompute,
  REGION_IDS,
  type Compute,
  type ComputeOptions,
  type RegionId,
} from './domains/compute/index.ts';
import {
  createImages,
  createMachines,
  createSsh,
  imageEnvironments,
  openDriver,
  openShelf,
} from './domains/machines/index.ts';
import type { Ledger } from './domains/ledger/index.ts';
import { createPayments, MAX_RPC_REPLY_BYTES, RPC_TIME_LIMIT_MS, type Payments } from './domains/payments/index.ts';
import { AppError } from './kernel/errors.ts';
import type { Clock } from './kernel/time.ts';
import { openBlobs } from './platform/blob/index.ts';
import { systemClock, type TestClock } from './platform/clock.ts';
import type { Database } from './platform/db.ts';
import { authorityOf } from './platform/egress/authority.ts';
import { createFetch } from './platform/fetch.ts';
import type { Installation } from './platform/installation.ts';
import type { Jobs } from './platform/jobs/index.ts';
import type { Log } from './platform/log.ts';
import { addressFinder } from './platform/own-address.ts';
import { createSshGateway } from './proxy/ssh-gateway.ts';

export type AppOptions = {
  config: Config;
  installation: Installation;
  log: Log;
  /** The database as its owner, who installs the job queue. */
  ownerUrl: string;
  /** The database as the application. */
  appUrl: string;
};

export type Ground = AppOptions & {
  db: Database;
  clock: Clock;
  testClock: TestClock | undefined;
  jobs: Jobs;
  /** How clients reach this server; a port that was left free is known when it listens. */
  address: { url: string };
};

/** Machines, what they start from, and how people reach them. */
export async function wireMachines({ config, installation, log, db, clock, jobs, address }: Ground) {
  const driver = await openDriver({
    setting: config.machineDriver,
    instance: installation.instance,
    dataDir: config.dataDir,
    cacheDir: config.cacheDir,
  });
  const machines = createMachines({
    db,
    driver,
    clock,
    log,
    jobs,
    poolSize: config.poolSize,
    environmentOf: imageEnvironments(db),
    authority: authorityOf(installation.secret, () => systemClock.now()),
    nameServers: config.egressNameServers,
  });
  const shelf = await openShelf(config);
  const images = createImages({ db, clock, log, jobs, machines, shelf, insecureRegistries: [] });
  const sshGateway = createSshGateway({ host: config.ssh.host, clock, log });
  const ssh = createSsh({
    db,
    machines,
    clock,
    place: driver.place,
    secret: installation.secret,
    host: () => sshHostOf(config.ssh.host, address.url),
    ports: config.ssh.ports,
    listen: sshGateway.listen,
    unlisten: sshGateway.unlisten,
  });
  return { machines, images, sshGateway, ssh, place: driver.place };
}

export function wireCompute(
  { config, installation, log, db, clock, jobs, address }: Ground,
  neighbours: Pick<ComputeOptions, 'ledger' | 'machines' | 'ssh' | 'place'>,
): Compute {
  const findAddress = addressFinder();
  return createCompute({
    ...neighbours,
    db,
    clock,
    log,
    jobs,
    secret: installation.secret,
    blobs: openBlobs({ directory: join(config.dataDir, 'blobs'), s3: config.backupBucket }),
    addresses: config.addressPool,
    hostAddress: () => findAddress(sshHostOf(config.ssh.host, address.url)),
    home: homeOf(config.region),
  });
}

/** The operator's node may stand anywhere, on this host too. */
export function wirePayments({ config, installation, log, db, clock }: Ground, ledger: Ledger): Payments {
  const { send } = createFetch({
    privateAddresses: 'allowed',
    timeLimitMs: RPC_TIME_LIMIT_MS,
    maxReplyBytes: MAX_RPC_REPLY_BYTES,
  });
  const { secret } = installation;
  return createPayments({ db, clock, log, ledger, secret, dir: config.dataDir, evm: config.evm, send });
}

/** Throws `unconfigured` for a region that there is not. */
function homeOf(region: string | undefined): RegionId | undefined {
  const home = REGION_IDS.find((id) => id === region);
  if (region !== undefined && !home)
    throw new AppError('unconfigured', `FREEHOLD_REGION must be one of ${REGION_IDS.join(', ')}`);
  return home;
}

/** Where SSH is reached: at the address that it listens on, or, where that is every one, at the server's own name. */
function sshHostOf(host: string, publicUrl: string): string {
  const isEvery = host === '0.0.0.0' || host === '::';
  return isEvery ? new URL(publicUrl).hostname.replace(/^\[|\]$/g, '') : host;
}
