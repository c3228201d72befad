import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SandboxId } from '../../kernel/ids.ts';
import { DAY, SECOND } from '../../kernel/time.ts';
import type { EgressProxy, Limits } from '../machines/index.ts';

/** A machine that an account rents by the second: with a name, a life that is planned, and what it may reach. */
export type Sandbox = {
  id: SandboxId;
  /** 20 characters of a-z and 0-9 that begin with a letter; stands in host names, and is E2B's sandboxID. */
  code: string;
  accountId: AccountId;
  machineId: MachineId;
  name: string | undefined;
  /** Through which contract it was made: there its ports are reached by number, or only when they are exposed. */
  origin: Origin;
  state: SandboxState;
  /** False while its machine is still being brought into that state. */
  ready: boolean;
  /** While it is paused: whether its processes go on where they stopped, or only its disk is kept. */
  keptMemory: boolean;
  /** While it is paused: who paused it. What the platform paused may be woken by traffic. */
  pausedBy: PauseReason | undefined;
  /** What it was made of, as its maker named it: `base`, an image, a snapshot. */
  template: string;
  /** Whether code is run in it at INTERPRETER_PORT: it is of that template, or made of what was. */
  interpreter: boolean;
  limits: Limits;
  metadata: Readonly<Record<string, string>>;
  /** Given to every command. */
  env: Readonly<Record<string, string>>;
  lifecycle: Lifecycle;
  network: Network;
  startedAt: Date;
  /** When its time is over; undefined where it lives as long as it is paid for. Stands still while it is paused. */
  endAt: Date | undefined;
  /** Tells apart what was started at the same time. */
  seq: bigint;
};

export type Origin = 'agents' | 'e2b';
export type SandboxState = 'running' | 'paused' | 'destroyed';
/** `host`: the disk of its host ran short; it goes on when there is room again. */
export type PauseReason = 'request' | 'timeout' | 'money' | 'host';
/** Why a sandbox is no more. */
export type EndReason = 'request' | 'timeout' | 'money' | 'lost';

export type Lifecycle = {
  onTimeout: 'kill' | 'pause';
  /** Whether it keeps its processes when it is paused at its timeout. */
  keepMemory: boolean;
  /** Whether traffic wakes it after that. */
  autoResume: boolean;
};

export type Network = {
  /** Addresses, networks (CIDR) and hosts (`example.com`, `*.example.com`). What is allowed beats what is denied. */
  allowOut: readonly string[];
  denyOut: readonly string[];
  /** False: nothing outside is reached but what is allowed. Undefined where its maker did not say. */
  internet: boolean | undefined;
  /** Headers that its web requests are given on their way, by host. Their values are secrets. */
  headers: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** A SOCKS5 proxy of its maker's, through which all its TCP goes. */
  egressProxy: EgressProxy | undefined;
  /** Ports at which its servers speak TLS. */
  httpsPorts: readonly number[];
  /** False: its ports are for those who have its traffic token. */
  publicTraffic: boolean;
  /** What its servers see as `Host`; `${PORT}` stands for the port. */
  maskRequestHost: string | undefined;
};

/** What of it is replaced while it runs. */
export type Outward = Pick<Network, 'allowOut' | 'denyOut' | 'internet' | 'headers' | 'egressProxy'>;

/** A port of a sandbox that has an address of its own. */
export type ExposedPort = {
  port: number;
  /** The first label of its host name, where it was given one. `<port>-<code>` always works. */
  subdomain: string | undefined;
  visibility: Visibility;
};
/** `private`: for those who have the sandbox's traffic token. */
export type Visibility = 'public' | 'private';

export const SHORT_ID_PREFIX = 'sbx-';
export const shortId = ({ code }: Pick<Sandbox, 'code'>): string => SHORT_ID_PREFIX + code;

/** Sandboxes of one account that run or are paused. */
export const MAX_SANDBOXES = 100;
export const MAX_TIMEOUT_MS = 30 * DAY;
/** Of a machine: longer than the longest timeout. The lease of one that lives on is renewed day by day. */
export const LEASE_MS = 31 * DAY;
export const MAX_NAME_LENGTH = 128;
export const MAX_METADATA_ENTRIES = 64;
export const MAX_METADATA_BYTES = 8_192;
export const MAX_ENV_ENTRIES = 256;
export const MAX_ENV_BYTES = 65_536;
export const MAX_TEMPLATE_LENGTH = 200;

/** The least and the most that a sandbox can be given. */
export const BOUNDS = {
  vcpus: { least: 1, most: 4 },
  memoryMb: { least: 512, most: 8_192 },
  diskGb: { least: 1, most: 50 },
} as const;

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Throws `invalid` for a time that no sandbox lives. */
export function checkTimeout(timeoutMs: number): void {
  if (!(timeoutMs >= 0 && timeoutMs <= MAX_TIMEOUT_MS))
    throw new AppError('invalid', `timeout must be at most ${MAX_TIMEOUT_MS / SECOND} seconds`);
}

export function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  const entries = Object.entries(metadata);
  if (entries.length > MAX_METADATA_ENTRIES || bytesOf(entries) > MAX_METADATA_BYTES)
    throw new AppError(
      'invalid',
      `metadata must have at most ${MAX_METADATA_ENTRIES} entries and ${MAX_METADATA_BYTES} bytes`,
    );
}

export function checkEnv(env: Readonly<Record<string, string>>): void {
  const entries = Object.entries(env);
  if (entries.length > MAX_ENV_ENTRIES || bytesOf(entries) > MAX_ENV_BYTES)
    throw new AppError('invalid', `env must have at most ${MAX_ENV_ENTRIES} entries and ${MAX_ENV_BYTES} bytes`);
  if (entries.some(([name]) => !VARIABLE.test(name)))
    throw new AppError('invalid', 'env names must be letters, digits and underscores');
}

const bytesOf = (entries: [string, string][]): number =>
  entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);

/** E2B's own rules: what is not paused is not woken, and what has lost its processes is not woken by traffic. */
export function checkLifecycle({ onTimeout, keepMemory, autoResume }: Lifecycle): void {
  if (autoResume && onTimeout !== 'pause')
    throw new AppError('invalid', 'Only a sandbox that is paused at its timeout can be resumed by traffic');
  if (autoResume && !keepMemory)
    throw new AppError('invalid', 'Only a sandbox that keeps its memory can be resumed by traffic');
}
