import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { AppError } from '../../../../kernel/errors.ts';
import { isBase } from '../../images/image.ts';
import { createInit } from '../../init/index.ts';
import type { MachineSpec, NetworkRules } from '../driver.ts';
import { bundleOf } from './bundle.ts';
import { createCommand, startCommand } from './commands.ts';
import { connectTo } from './connect.ts';
import { copyDisk, makeDisk, makeMountPoints, repairDisk } from './disk.ts';
import { linkRulesOf } from './firewall.ts';
import { imageDirOf, type Host } from './host.ts';
import { placesOf, snapshotFile, type Layout, type Places } from './layout.ts';
import { attach, networkSettings, resolversFrom, type Link } from './network.ts';
import { writeRecord } from './record.ts';
import { prepareSeen } from './seen.ts';

const HOSTNAME_LENGTH = 12;
const FILE_OWNER_ONLY = 0o600;
const OWNER_ONLY = 0o700;
/** The runtime changes into a machine's root file system as the machine's root, who must find the way there. */
const TRAVERSABLE = 0o711;
const MACHINE_ID_DIGITS = 32;

/** Makes and starts a machine with a new disk, or with a copy of a snapshot's. */
export const create = (host: Host, spec: MachineSpec, signal: AbortSignal): Promise<void> => {
  const { disk } = placesOf(host.layout, spec.id);
  const { diskGb } = spec.limits;
  return begin(host, spec, signal, () =>
    spec.snapshot === undefined
      ? makeDisk(host.spawner, disk, diskGb, host.layout.emptyDisksDir, signal)
      : copyDisk(snapshotFile(host.layout, spec.snapshot), disk, diskGb, signal),
  );
};

/** Starts a machine that was stopped, from the disk that it left; the host may have gone down meanwhile. */
export const boot = (host: Host, spec: MachineSpec, signal: AbortSignal): Promise<void> =>
  begin(host, spec, signal, () => repairDisk(placesOf(host.layout, spec.id).disk, signal));

/** A machine's directory is the first thing made, so that whatever follows can be found again. */
async function begin(
  host: Host,
  spec: MachineSpec,
  signal: AbortSignal,
  prepareDisk: () => Promise<void>,
): Promise<void> {
  const imageDir = await imageDirOf(host, spec.image);
  if (imageDir === undefined) throw noImage(spec.image);
  const places = placesOf(host.layout, spec.id);
  await makeDirs(host.layout);
  await mkdir(places.dir, { mode: TRAVERSABLE });
  await host.step(spec.id, 'directory');
  await allDone([
    prepareDisk(),
    makeMountPoints(places, { lower: imageDir, init: host.initLayer }),
    writeConfig(host, spec, places),
    spec.network === 'egress' ? host.firewall.ensure() : Promise.resolve(),
  ]);
  await host.step(spec.id, 'disk');
  const pid = await makeContainer(host, spec, places, signal);
  await host.step(spec.id, 'container');
  const link = await startIt(host, spec, pid, signal);
  await host.step(spec.id, 'started');
  await identify(spec, places);
  await writeRecord(places.record, pid, link?.name);
  await host.step(spec.id, 'recorded');
}

const noImage = (image: string): AppError =>
  isBase(image)
    ? new AppError('conflict', 'The base image that this disk belongs to is not on the server any more.')
    : new AppError('not_found', `There is no image ${image}.`);

/** Waits for all, also when one fails: whoever removes the machine must not meet one that is still at work on it. */
async function allDone(work: Promise<void>[]): Promise<void> {
  const failure = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

export async function makeDirs(layout: Layout): Promise<void> {
  await mkdir(layout.machinesDir, { recursive: true, mode: TRAVERSABLE });
  await Promise.all(
    [layout.runtimeRoot, layout.disksDir, layout.snapshotsDir, layout.emptyDisksDir].map((dir) =>
      mkdir(dir, { recursive: true, mode: OWNER_ONLY }),
    ),
  );
}

async function writeConfig(host: Host, spec: MachineSpec, places: Places): Promise<void> {
  const bundle = bundleOf({
    hostname: hostnameOf(spec),
    limits: spec.limits,
    profile: spec.profile ?? 'tenant',
    ids: host.ids,
    cgroup: places.cgroup,
    arch: process.arch,
    maxOpenFiles: host.maxOpenFiles,
    sysctl: await networkSettings(),
    seen: spec.standing && (await prepareSeen(places.dir, spec.id, spec.limits)),
  });
  await writeFile(places.config, JSON.stringify(bundle), { mode: FILE_OWNER_ONLY });
}

async function makeContainer(host: Host, spec: MachineSpec, places: Places, signal: AbortSignal): Promise<number> {
  const command = createCommand({
    runtime: host.runtime,
    id: spec.id,
    places,
    ids: host.ids,
    init: host.initProgram,
  });
  await host.spawner.must(command, { signal });
  return Number(await readFile(places.pidFile, 'utf8'));
}

/** A machine with rules, or with an address of its own, has them in place before it can send anything. */
async function startIt(host: Host, spec: MachineSpec, pid: number, signal: AbortSignal): Promise<Link | undefined> {
  const start = startCommand(host.runtime, host.initProgram, spec.id, pid);
  const { id, rules = NO_RULES, standing } = spec;
  const ruled = spec.network === 'egress' ? await host.firewall.ruledLinks() : new Set<string>();
  const options = { host, id, pid, signal, ruled };
  if (spec.network === 'egress' && isEmpty(rules) && standing?.address === undefined) return attach(options, start);
  const link = spec.network === 'egress' ? await attach(options, NOTHING) : undefined;
  if (link)
    await host.firewall.setRules(id, {
      ...(await linkRulesOf(rules)),
      link: link.name,
      address: addressOf(link, spec),
    });
  await host.spawner.must(start, { signal });
  return link;
}

const NOTHING = ['true'];
const NO_RULES: NetworkRules = { allow: [], deny: [] };

const addressOf = ({ machineAddress }: Link, { standing }: MachineSpec) =>
  standing?.address === undefined ? undefined : { outside: standing.address, inside: machineAddress };

const isEmpty = ({ allow, deny, gate }: NetworkRules): boolean => allow.length + deny.length === 0 && !gate;

/** Who a machine is, told to it from within: what its disk brought along of another machine is overwritten. */
async function identify(spec: MachineSpec, places: Places): Promise<void> {
  const nameservers = resolversFrom(await readFile('/etc/resolv.conf', 'utf8').catch(absent));
  const hostname = hostnameOf(spec);
  await createInit(() => connectTo(places.socket)).identify({
    hostname,
    machineId: createHash('sha256').update(`machine-id ${spec.id}`).digest('hex').slice(0, MACHINE_ID_DIGITS),
    hosts: `127.0.0.1 localhost ${hostname}\n`,
    resolvConf: nameservers.map((address) => `nameserver ${address}\n`).join(''),
  });
}

const hostnameOf = ({ id, standing }: MachineSpec): string =>
  standing?.hostname ?? id.replaceAll('_', '-').slice(-HOSTNAME_LENGTH);

function absent(error: NodeJS.ErrnoException): string {
  if (error.code !== 'ENOENT') throw error;
  return '';
}
