import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { isAddress } from 'viem/utils';
import { z } from 'zod';

/** Everything an operator can set. Read once; a wrong value stops the start with every problem listed. */
const url = (protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL with ${protocols.join(' or ')}`,
  });
const httpUrl = url(['http:', 'https:']);
/** What we ask takes none in its address. Whatever is no URL has been said to be none. */
const hasNoLogin = (text: string): boolean => !URL.parse(text)?.username && !URL.parse(text)?.password;
const withoutSlash = (text: string): string => text.replace(/\/+$/, '');
const oneOf = <const Choice extends string>(...choices: Choice[]) =>
  z.enum(choices, { error: `must be one of ${choices.join(', ')}` });
const onOff = (fallback: 'on' | 'off') => oneOf('on', 'off').default(fallback);
const secret = z.string().min(16, { error: 'must be at least 16 characters' });

const MAX_PORT = 65_535;
/** Each machine that waits takes the memory of a small sandbox. */
const MAX_POOL_SIZE = 100;
const LEAST_FREE_PORT = 1_024;
const NAME = /^(?=.{1,190}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const ROLES = ['api', 'worker', 'all'];
/** A thousand dollars for whoever solves a puzzle: more is a slip of the keyboard. */
const MAX_BONUS_CENTS = 100_000;
const bonus = (fallback: string) =>
  z
    .string()
    .regex(/^\d{1,6}$/, { error: `must be cents from 0 to ${MAX_BONUS_CENTS}` })
    .default(fallback)
    .transform(Number)
    .refine((cents) => cents <= MAX_BONUS_CENTS, { error: `must be cents from 0 to ${MAX_BONUS_CENTS}` });

/** A thousand blocks are hours on the slowest chain. */
const MAX_CONFIRMATIONS = 1_000;

/** A bucket needs all of these, and none of them says anything alone. */
const S3_SETTINGS = [
  'FREEHOLD_BACKUP_S3_URL',
  'FREEHOLD_BACKUP_S3_BUCKET',
  'FREEHOLD_BACKUP_S3_ACCESS_KEY',
  'FREEHOLD_BACKUP_S3_SECRET_KEY',
] as const;

const Settings = z
  .object({
    FREEHOLD_HOST: z.string().min(1).default('127.0.0.1'),
    FREEHOLD_PORT: z
      .string()
      .regex(/^\d{1,5}$/, { error: `must be a port from 0 to ${MAX_PORT}` })
      .default('8080')
      .transform(Number)
      .refine((port) => port <= MAX_PORT, { error: `must be a port from 0 to ${MAX_PORT}` }),
    FREEHOLD_PUBLIC_URL: httpUrl.transform(withoutSlash).optional(),
    FREEHOLD_APPS_DOMAIN: z
      .string()
      .transform((text) => text.toLowerCase())
      .refine((text) => NAME.test(text) && !/^[\d.]+$/.test(text), { error: 'must be a domain name' })
      .default('apps.localhost'),
    FREEHOLD_SSH_HOST: z.string().min(1).optional(),
    FREEHOLD_SSH_PORTS: z
      .string()
      .default('20000-20999')
      .transform((text) => text.split('-').map(Number))
      .refine(isPortRange, { error: `must be two ports from ${LEAST_FREE_PORT} to ${MAX_PORT}, as in 20000-20999` })
      .transform(([first = 0, last = 0]) => ({ first, last })),
    FREEHOLD_IP_POOL: z
      .string()
      .transform((text) => text.split(',').map((range) => range.trim()))
      .refine(isAddressPool, { error: 'must be a comma list of IPv4 addresses and networks, as in 203.0.113.0/28' })
      .optional(),
    FREEHOLD_EGRESS_NAME_SERVERS: z
      .string()
      .transform((text) => text.split(',').map((server) => server.trim()))
      .refine((servers) => servers.every(isNameServer), {
        error: 'must be a comma list of IPv4 addresses, each with a port or without, as in 9.9.9.9,192.0.2.53:5353',
      })
      .default([]),
    FREEHOLD_REGION: z
      .string()
      .regex(/^[a-z]{3}$/, { error: 'must be a region of GET /regions, as in fra' })
      .optional(),
    FREEHOLD_DATA_DIR: z.string().min(1).default('./data'),
    FREEHOLD_CACHE_DIR: z.string().min(1).optional(),
    FREEHOLD_BACKUP_S3_URL: httpUrl.transform(withoutSlash).optional(),
    FREEHOLD_BACKUP_S3_BUCKET: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, { error: 'must be the name of a bucket' })
      .optional(),
    FREEHOLD_BACKUP_S3_REGION: z.string().min(1).default('us-east-1'),
    FREEHOLD_BACKUP_S3_ACCESS_KEY: z.string().min(1).optional(),
    FREEHOLD_BACKUP_S3_SECRET_KEY: z.string().min(1).optional(),
    FREEHOLD_SECRET: secret.optional(),
    FREEHOLD_DATABASE_URL: url(['postgres:', 'postgresql:']).optional(),
    FREEHOLD_ROLES: z
      .string()
      .default('all')
      .transform((text) => text.split(',').map((role) => role.trim()))
      .refine((roles) => roles.every((role) => ROLES.includes(role)), {
        error: 'must be a comma list of api and worker, or all',
      }),
    FREEHOLD_MACHINE_DRIVER: oneOf('auto', 'oci', 'oci-crun', 'oci-runc').default('auto'),
    FREEHOLD_POOL_SIZE: z
      .string()
      .regex(/^\d{1,3}$/, { error: `must be a number from 0 to ${MAX_POOL_SIZE}` })
      .default('2')
      .transform(Number)
      .refine((size) => size <= MAX_POOL_SIZE, { error: `must be a number from 0 to ${MAX_POOL_SIZE}` }),
    FREEHOLD_ADMIN_KEY: secret.optional(),
    FREEHOLD_RATE_LIMITS: onOff('on'),
    FREEHOLD_AGENT_BONUS_CENTS: bonus('0'),
    FREEHOLD_SIGNUP_BONUS_CENTS: bonus('500'),
    FREEHOLD_REPORT_POLICY: oneOf('distinct', 'direct').default('distinct'),
    FREEHOLD_LEVEL_GATES: onOff('off'),
    FREEHOLD_ADMIN_SYNC_TOKEN: secret.optional(),
    FREEHOLD_INTERNAL_KEY: secret.optional(),
    FREEHOLD_SEARCH_URL: httpUrl
      .refine(hasNoLogin, { error: 'must be without a user name or password' })
      .transform(withoutSlash)
      .optional(),
    FREEHOLD_TEST_CLOCK: onOff('off'),
    FREEHOLD_ALLOW_PRIVATE_WEBHOOKS: onOff('off'),
    FREEHOLD_TRUST_PROXY: z.string().optional(),
    FREEHOLD_MODELS_FILE: z.string().min(1).optional(),
    ANTHROPIC_API_KEY: z.string().min(1).optional(),
    ANTHROPIC_BASE_URL: httpUrl.optional(),
    OPENAI_API_KEY: z.string().min(1).optional(),
    OPENAI_BASE_URL: httpUrl.optional(),
    OPENROUTER_API_KEY: z.string().min(1).optional(),
    OPENROUTER_BASE_URL: httpUrl.optional(),
    FREEHOLD_OPENAI_COMPATIBLE_URL: httpUrl.optional(),
    FREEHOLD_OPENAI_COMPATIBLE_KEY: z.string().min(1).optional(),
    FREEHOLD_EVM_RPC_URL: httpUrl
      .refine(hasNoLogin, { error: 'must be without a user name or password: a key belongs into its path' })
      .optional(),
    FREEHOLD_EVM_TOKEN: z
      .string()
      .refine((text) => isAddress(text), {
        error: 'must be the address of an ERC-20 contract, 0x and 40 hex digits, whose capitals are its checksum',
      })
      .optional(),
    FREEHOLD_EVM_CONFIRMATIONS: z
      .string()
      .regex(/^\d{1,4}$/, { error: `must be blocks from 1 to ${MAX_CONFIRMATIONS}` })
      .default('12')
      .transform(Number)
      .refine((blocks) => blocks >= 1 && blocks <= MAX_CONFIRMATIONS, {
        error: `must be blocks from 1 to ${MAX_CONFIRMATIONS}`,
      }),
    FREEHOLD_EVM_FORMER_COINS: oneOf('credited', 'ignored').default('credited'),
    GITHUB_CLIENT_ID: z.string().min(1).optional(),
    GITHUB_CLIENT_SECRET: z.string().min(1).optional(),
    FREEHOLD_GITHUB_URL: httpUrl.transform(withoutSlash).optional(),
    FREEHOLD_GITHUB_API_URL: httpUrl.transform(withoutSlash).optional(),
  })
  .refine((settings) => settings.FREEHOLD_TEST_CLOCK === 'off' || isLoopback(settings.FREEHOLD_HOST), {
    path: ['FREEHOLD_TEST_CLOCK'],
    error: 'must be off unless FREEHOLD_HOST is a loopback address',
  })
  .refine(({ FREEHOLD_PUBLIC_URL, FREEHOLD_APPS_DOMAIN }) => !isBelow(FREEHOLD_PUBLIC_URL, FREEHOLD_APPS_DOMAIN), {
    path: ['FREEHOLD_APPS_DOMAIN'],
    error: 'must not hold the name of FREEHOLD_PUBLIC_URL, or tenants would serve pages beside it',
  })
  .refine((settings) => new Set(S3_SETTINGS.map((name) => settings[name] === undefined)).size === 1, {
    path: ['FREEHOLD_BACKUP_S3_URL'],
    error: `must be set together with ${['BUCKET', 'ACCESS_KEY', 'SECRET_KEY'].join(', ')} of FREEHOLD_BACKUP_S3`,
  })
  .refine((settings) => Boolean(settings.FREEHOLD_EVM_RPC_URL) === Boolean(settings.FREEHOLD_EVM_TOKEN), {
    path: ['FREEHOLD_EVM_TOKEN'],
    error: 'must be set together with FREEHOLD_EVM_RPC_URL',
  })
  .refine((settings) => Boolean(settings.GITHUB_CLIENT_ID) === Boolean(settings.GITHUB_CLIENT_SECRET), {
    path: ['GITHUB_CLIENT_SECRET'],
    error: 'must be set together with GITHUB_CLIENT_ID',
  });

/** Whether the server itself has the domain's name or one below it. */
function isBelow(publicUrl: string | undefined, domain: string): boolean {
  const host = publicUrl === undefined ? 'localhost' : new URL(publicUrl).hostname;
  return host === domain || host.endsWith(`.${domain}`);
}

function isPortRange(ports: number[]): boolean {
  const [first, last] = ports;
  if (ports.length !== 2 || first === undefined || last === undefined) return false;
  return ports.every(Number.isInteger) && first >= LEAST_FREE_PORT && last <= MAX_PORT && first <= last;
}

const ADDRESS_BITS = 32;
/** A network is given out address by address: more than this is a slip of the keyboard. */
const LEAST_PREFIX = 16;

function isAddressPool(ranges: string[]): boolean {
  return ranges.every((range) => {
    const [address = '', prefix = String(ADDRESS_BITS), ...rest] = range.split('/');
    const bits = Number(prefix);
    const isPrefix = /^\d{1,2}$/.test(prefix) && bits >= LEAST_PREFIX && bits <= ADDRESS_BITS;
    return rest.length === 0 && ipaddr.IPv4.isValidFourPartDecimal(address) && isPrefix;
  });
}

/** Every address of the ranges, each once, in their order. */
function addressesIn(ranges: string[]): string[] {
  const addresses = ranges.flatMap((range) => {
    const [address = '', prefix = String(ADDRESS_BITS)] = range.split('/');
    const count = 2 ** (ADDRESS_BITS - Number(prefix));
    const value = ipaddr.IPv4.parse(address)
      .toByteArray()
      .reduce((sum, byte) => sum * 256 + byte, 0);
    const first = value - (value % count);
    return Array.from({ length: count }, (_, index) =>
      [24, 16, 8, 0].map((shift) => ((first + index) >>> shift) & 255).join('.'),
    );
  });
  return [...new Set(addresses)];
}

function isNameServer(text: string): boolean {
  const [address = '', port = '53', ...rest] = text.split(':');
  const isPort = /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= MAX_PORT;
  return rest.length === 0 && isPort && ipaddr.IPv4.isValidFourPartDecimal(address);
}

export type Config = ReturnType<typeof readConfig>;

/** Names of all settings, for `.env.example` and its test. */
export const SETTING_NAMES = Object.keys(Settings.shape);

export class ConfigError extends Error {}

/** Reads the settings. Throws `ConfigError` with one line for each problem. */
export function readConfig(env: Record<string, string | undefined>) {
  // An empty variable is an unset one: that is what an empty line in an env file means.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = Settings.safeParse(given);
  if (!parsed.success)
    throw new ConfigError(
      parsed.error.issues.map((issue) => `${issue.path.join('.')} ${wording(issue.message)}`).join('\n'),
    );
  const unknown = Object.keys(given).filter((name) => name.startsWith('FREEHOLD_') && !SETTING_NAMES.includes(name));
  return { ...present(parsed.data), unknown };
}

const wording = (message: string): string => (message.startsWith('must ') ? message : `is wrong: ${message}`);

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

const GITHUB = { url: 'https://github.com', apiUrl: 'https://api.github.com' };

/** The OAuth app that people log in with. GitHub Enterprise has its API under its own address. */
function githubOf(settings: z.output<typeof Settings>) {
  const { GITHUB_CLIENT_ID: clientId, GITHUB_CLIENT_SECRET: clientSecret } = settings;
  if (!clientId || !clientSecret) return undefined;
  const origin = settings.FREEHOLD_GITHUB_URL ?? GITHUB.url;
  const ownApi = origin === GITHUB.url ? GITHUB.apiUrl : `${origin}/api/v3`;
  return { clientId, clientSecret, url: origin, apiUrl: settings.FREEHOLD_GITHUB_API_URL ?? ownApi };
}

/** Where stable-coins are taken, if they are. */
function evmOf(settings: z.output<typeof Settings>) {
  const { FREEHOLD_EVM_RPC_URL: rpcUrl, FREEHOLD_EVM_TOKEN: token } = settings;
  if (!rpcUrl || !token) return undefined;
  const { FREEHOLD_EVM_CONFIRMATIONS: confirmations, FREEHOLD_EVM_FORMER_COINS: formerCoins } = settings;
  return { rpcUrl, token, confirmations, formerCoins };
}

/** Where backups are kept, if not in the data directory. */
function bucketOf(settings: z.output<typeof Settings>) {
  const { FREEHOLD_BACKUP_S3_URL: address, FREEHOLD_BACKUP_S3_BUCKET: bucket } = settings;
  const { FREEHOLD_BACKUP_S3_ACCESS_KEY: accessKey, FREEHOLD_BACKUP_S3_SECRET_KEY: secretKey } = settings;
  if (!address || !bucket || !accessKey || !secretKey) return undefined;
  return { url: address, bucket, accessKey, secretKey, region: settings.FREEHOLD_BACKUP_S3_REGION };
}

function present(settings: z.output<typeof Settings>) {
  const roles = settings.FREEHOLD_ROLES;
  return {
    host: settings.FREEHOLD_HOST,
    port: settings.FREEHOLD_PORT,
    publicUrl: settings.FREEHOLD_PUBLIC_URL,
    appsDomain: settings.FREEHOLD_APPS_DOMAIN,
    ssh: { host: settings.FREEHOLD_SSH_HOST ?? settings.FREEHOLD_HOST, ports: settings.FREEHOLD_SSH_PORTS },
    addressPool: addressesIn(settings.FREEHOLD_IP_POOL ?? []),
    region: settings.FREEHOLD_REGION,
    egressNameServers: settings.FREEHOLD_EGRESS_NAME_SERVERS,
    dataDir: resolve(settings.FREEHOLD_DATA_DIR),
    cacheDir: resolve(settings.FREEHOLD_CACHE_DIR ?? join(homedir(), '.cache/freehold')),
    databaseUrl: settings.FREEHOLD_DATABASE_URL,
    roles: {
      api: roles.includes('api') || roles.includes('all'),
      worker: roles.includes('worker') || roles.includes('all'),
    },
    machineDriver: settings.FREEHOLD_MACHINE_DRIVER,
    poolSize: settings.FREEHOLD_POOL_SIZE,
    backupBucket: bucketOf(settings),
    secret: settings.FREEHOLD_SECRET,
    adminKey: settings.FREEHOLD_ADMIN_KEY,
    rateLimits: settings.FREEHOLD_RATE_LIMITS,
    welcome: { challenge: settings.FREEHOLD_AGENT_BONUS_CENTS, github: settings.FREEHOLD_SIGNUP_BONUS_CENTS },
    grid: {
      reportPolicy: settings.FREEHOLD_REPORT_POLICY,
      levelGates: settings.FREEHOLD_LEVEL_GATES === 'on',
      syncToken: settings.FREEHOLD_ADMIN_SYNC_TOKEN,
      internalKey: settings.FREEHOLD_INTERNAL_KEY,
    },
    searchUrl: settings.FREEHOLD_SEARCH_URL,
    testClock: settings.FREEHOLD_TEST_CLOCK,
    privateWebhooks: settings.FREEHOLD_ALLOW_PRIVATE_WEBHOOKS,
    trustProxy: settings.FREEHOLD_TRUST_PROXY?.split(',').map((range) => range.trim()),
    modelsFile: settings.FREEHOLD_MODELS_FILE,
    evm: evmOf(settings),
    github: githubOf(settings),
    providers: {
      anthropic: { apiKey: settings.ANTHROPIC_API_KEY, baseUrl: settings.ANTHROPIC_BASE_URL },
      openai: { apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL },
      openrouter: { apiKey: settings.OPENROUTER_API_KEY, baseUrl: settings.OPENROUTER_BASE_URL },
      'openai-compatible': {
        apiKey: settings.FREEHOLD_OPENAI_COMPATIBLE_KEY,
        baseUrl: settings.FREEHOLD_OPENAI_COMPATIBLE_URL,
      },
    },
  };
}
