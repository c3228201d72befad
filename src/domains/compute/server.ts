import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, ServerId } from '../../kernel/ids.ts';
import { DAY } from '../../kernel/time.ts';
import type { Limits } from '../machines/index.ts';
import type { PlanId, RegionId } from './catalogue.ts';
import type { Meter } from './money.ts';

/** A machine that an account rents for long: a computer with a name, a disk that stays, and root by SSH. */
export type Server = {
  id: ServerId;
  /** Tells apart what was deployed at the same time. */
  seq: bigint;
  accountId: AccountId;
  /** `hourly`: a server of the servers contract. `monthly`: a compute instance of the agents contract. */
  offer: Offer;
  name: string;
  slug: string | undefined;
  /** Of the hourly ones. */
  plan: PlanId | undefined;
  region: RegionId | undefined;
  limits: Limits;
  /** The machine that it is now; while it is being provisioned, the one that is being tried. */
  machineId: MachineId;
  /** The backup that its disk begins as a copy of. */
  restoredFrom: string | undefined;
  /** Who comes in by SSH, and with what: with keys, or where there are none with a password. */
  login: Login;
  authorizedKeys: readonly string[];
  password: boolean;
  /** An address of its own from the operator's pool. */
  address: string | undefined;
  state: ServerState;
  /** Whether its owner wants it on. It is paid for either way. */
  power: 'on' | 'off';
  /** What its machine still has to do to be as the server says. */
  moving: Moving | undefined;
  /** Why it is in `error`. */
  failure: string | undefined;
  /** Machines that could not be made for it. */
  attempts: number;
  meter: Meter;
  createdAt: Date;
  activeAt: Date | undefined;
  suspendedAt: Date | undefined;
  endedAt: Date | undefined;
  machineRemoved: boolean;
};

/** What is not there before it is first saved. */
export type NewServer = Omit<Server, 'seq'>;

export type Offer = 'hourly' | 'monthly';
export type Login = 'root' | 'agent';
export type Moving = 'starting' | 'stopping' | 'rebooting';

/**
 * `suspended`: it is off because it is not paid, and its disk is kept. `error`: it could not be made, or was lost; it
 * costs nothing any more.
 */
export type ServerState = 'provisioning' | 'active' | 'suspended' | 'error' | 'destroying' | 'destroyed';

/** Servers of one account that count: all but those in `error` and those that are destroyed. */
export const MAX_SERVERS = { hourly: 10, monthly: 5 } as const satisfies Record<Offer, number>;
export const MAX_BULK = 10;
export const MAX_LABEL_LENGTH = 64;
export const LABEL_PATTERN = /^[a-zA-Z0-9._-]+$/;
export const MAX_INSTANCE_NAME_LENGTH = 128;
/** The sheet's example has a hyphen, so letters and digits alone cannot be meant. */
export const INSTANCE_NAME_PATTERN = /^(?=.*[A-Za-z0-9])[A-Za-z0-9 _-]+$/;
export const SLUG_PATTERN = /^[a-z0-9](?:[a-z0-9-]{1,62})[a-z0-9]$/;
/** What comes before a slug in a host name: no sandbox has such a name, so that neither can take the other's. */
const SUBDOMAIN_PREFIX = 'vm-';
const MAX_LABEL_OF_DNS = 63;
/** At which its web server is looked for, when somebody comes by its name. */
export const WEB_PORT = 80;

/** Under which name its web port is reached; undefined where it has none, or one that no host name can hold. */
export function subdomainOf({ slug }: Pick<Server, 'slug'>): string | undefined {
  const label = SUBDOMAIN_PREFIX + (slug ?? '');
  return slug === undefined || label.length > MAX_LABEL_OF_DNS ? undefined : label;
}

export const slugOf = (label: string): string | undefined =>
  label.startsWith(SUBDOMAIN_PREFIX) ? label.slice(SUBDOMAIN_PREFIX.length) : undefined;

/** How long the disk of a suspended server is kept. */
export const GRACE_MS = 7 * DAY;
/** Machines that are tried before a server is in `error`. */
export const MAX_ATTEMPTS = 3;

/** The least and the most that a monthly one can be given. */
export const INSTANCE_BOUNDS = {
  vcpus: { least: 1, most: 4 },
  memoryMb: { least: 1_024, most: 8_192 },
  diskGb: { least: 10, most: 50 },
} as const;

export const isLiving = ({ state }: Pick<Server, 'state'>): boolean =>
  state === 'provisioning' || state === 'active' || state === 'suspended';

/** The agents contract knows no instance that is on its way out. */
export const isShown = ({ state, offer }: Pick<Server, 'state' | 'offer'>): boolean =>
  state !== 'destroyed' && !(offer === 'monthly' && state === 'destroying');

/** Labels of servers that are deployed together. Throws `invalid` where one is too long. */
export function bulkLabels(label: string, count: number): string[] {
  const labels = Array.from({ length: count }, (_, index) => `${label}-${index + 1}`);
  if (labels.some(({ length }) => length > MAX_LABEL_LENGTH))
    throw new AppError('invalid', `label with its number must be at most ${MAX_LABEL_LENGTH} characters`);
  return labels;
}

const MAX_HOSTNAME_LENGTH = 63;

/** What a server calls itself: its name as far as a host name may hold it. */
export function hostnameOf(name: string): string {
  const hostname = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_HOSTNAME_LENGTH)
    .replaceAll(/^-+|-+$/g, '');
  return hostname || 'server';
}
