import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { solveChallenge } from '../../src/cli/solve-challenge.ts';
import { appUrlOf, contracts, walletOpener } from '../../src/app.ts';
import { taskSubscribers } from '../../src/apis/agents/index.ts';
import { a2aSubscribers, gridPublications, signGridEvent } from '../../src/apis/grid/index.ts';
import type { Api } from '../../src/apis/contract.ts';
import { authenticator } from '../../src/apis/credentials.ts';
import { serve } from '../../src/apis/serve.ts';
import { createCompute, type Compute } from '../../src/domains/compute/index.ts';
import { createEnvironments, type Environments } from '../../src/domains/environments/index.ts';
import { createGrid, type Grid, type ReportPolicy } from '../../src/domains/grid/index.ts';
import { createIdentity, type Identity, type IdentityDeps } from '../../src/domains/identity/index.ts';
import { createLedger, type Ledger } from '../../src/domains/ledger/index.ts';
import { createImages, createMachines, createSsh, openShelf, type Machines } from '../../src/domains/machines/index.ts';
import { openModels } from '../../src/domains/models/index.ts';
import {
  createPayments,
  MAX_RPC_REPLY_BYTES,
  type EvmSettings,
  type Payments,
} from '../../src/domains/payments/index.ts';
import { createSandboxes, type Sandboxes } from '../../src/domains/sandboxes/index.ts';
import { createTasks } from '../../src/domains/tasks/index.ts';
import { createWebhooks, type Webhooks } from '../../src/domains/webhooks/index.ts';
import { assert } from '../../src/kernel/errors.ts';
import type { Clock } from '../../src/kernel/time.ts';
import type { Database } from '../../src/platform/db.ts';
import { createFetch } from '../../src/platform/fetch.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { noRequestLimits, type RequestLimits } from '../../src/platform/limits.ts';
import { openBlobs } from '../../src/platform/blob/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { dashboardPages } from '../../src/web/dashboard/index.ts';
import { webApi } from '../../src/web/index.ts';
import { listedMachines } from '../fakes/driver.ts';
import { listedSsh } from '../fakes/ssh.ts';
import { testDatabase } from './database.ts';

export const ADMIN_KEY = 'admin-key-of-the-tests';
export const SYNC_TOKEN = 'sync-token-of-the-tests';
export const INTERNAL_KEY = 'internal-key-of-the-tests';

const NO_PROVIDERS = { anthropic: {}, openai: {}, openrouter: {}, 'openai-compatible': {} };
const NOBODY = { enqueue: async () => {}, nudge: async () => {} };

/** What is uploaded for images that nobody makes, and what samples are made of. */
const IMAGES_DIR = join(tmpdir(), `freehold-apis-${process.pid}`);

export type Reply = { status: number; body: any; headers: Headers }; // oxlint-disable-line typescript/no-explicit-any -- replies are read as a client reads them
export type Agent = { accountId: string; key: string; keyId: string };
type CallOptions = { key?: string | undefined; body?: unknown; headers?: Record<string, string> };

export type TestApis = {
  origin: string;
  apis: readonly Api[];
  db: Database;
  /** The same database as its owner, who may change what the ledger has written. */
  ownerUrl: string;
  identity: Identity;
  ledger: Ledger;
  machines: Machines;
  environments: Environments;
  sandboxes: Sandboxes;
  compute: Compute;
  payments: Payments;
  grid: Grid;
  webhooks: Webhooks;
  /** Real time, and as much more as a test asks for. */
  clock: Clock & { advance(milliseconds: number): void };
  /** One request as a client makes it; a string is sent as it is, everything else as JSON. */
  call: (method: string, path: string, options?: CallOptions) => Promise<Reply>;
  /** A new agent, registered over HTTP. */
  register(name?: string): Promise<Agent>;
  /** Gives an account money as the operator does. */
  credit(accountId: string, cents: number): Promise<void>;
  close(): Promise<void>;
};

type Options = {
  limits?: RequestLimits;
  agentBonusCents?: number;
  signupBonusCents?: number;
  /** Whether the operator may move the clock. */
  testClock?: boolean;
  /** The OAuth app that people log in with. */
  github?: IdentityDeps['github'];
  reportPolicy?: ReportPolicy;
  /** Whether levels decide what a node may do. */
  levelGates?: boolean;
  /** Where what the operator has written is. */
  transmissionsDir?: string;
  /** Where stable-coins are taken. */
  evm?: EvmSettings;
  /** Stands beside this one, over the same database, as a second process does. */
  over?: TestApis;
};

/** Everything that is served, on a loopback port, over a database of its own. */
export async function startApis(options: Options = {}): Promise<TestApis> {
  const {
    limits = noRequestLimits,
    agentBonusCents = 0,
    signupBonusCents = 0,
    testClock = true,
    github,
    reportPolicy = 'distinct',
    levelGates = false,
    transmissionsDir = '/nonexistent',
    evm,
    over,
  } = options;
  const own = over ? undefined : await testDatabase();
  const { db, ownerUrl } = over ?? own ?? {};
  assert(db && ownerUrl !== undefined, 'there is a database');
  const secret = Buffer.alloc(32, 9);
  const clock = shiftedClock();
  const domains = await wire({
    db,
    limits,
    agentBonusCents,
    signupBonusCents,
    github,
    secret,
    clock,
    reportPolicy,
    levelGates,
    evm,
  });
  const movable = testClock
    ? { advance: async (ms: number) => (clock.advance(ms), { now: clock.now(), jobsRun: 0 }) }
    : undefined;
  const publicUrl = () => 'https://freehold.test';
  const ping = () => db.ping();
  const appUrl = appUrlOf(publicUrl, 'apps.freehold.test');
  const dashboard = dashboardPages('0.0.0');
  const served = contracts({ ...domains, db, publicUrl, appUrl, clock: movable, version: '0.0.0', ping, dashboard });
  const apis = [
    ...served,
    webApi({
      apis: served,
      publicUrl,
      version: '0.0.0',
      health: ping,
      metrics: async () => 'nothing 0',
      sharedTrade: domains.grid.sandbox.shared,
      portraits: domains.grid.portraits,
      transmissions: { dir: transmissionsDir, onBadFile: () => {} },
    }),
  ];
  const server = createHttpServer();
  serve(server, apis, {
    db,
    clock,
    limits,
    secret,
    authenticate: authenticator(domains.grid.nodes.recogniser(domains.identity.authenticate)),
    answered: () => {},
  });
  const origin = await server.listen({ port: 0, host: '127.0.0.1' });
  const call = caller(origin);
  const credit = async (accountId: string, cents: number) => {
    const body = { account_id: accountId, amount_cents: cents };
    const { status } = await call('POST', '/v1/admin/credits', { key: ADMIN_KEY, body });
    assert(status === 200, 'the operator can credit an account');
  };
  const close = async () => {
    await server.close();
    await own?.drop();
    await rm(IMAGES_DIR, { recursive: true, force: true });
  };
  return {
    origin,
    apis,
    db,
    ownerUrl,
    ...domains,
    clock,
    call,
    register: (name) => register(call, name),
    credit,
    close,
  };
}

type Ground = {
  db: Database;
  limits: RequestLimits;
  agentBonusCents: number;
  signupBonusCents: number;
  github: IdentityDeps['github'];
  secret: Buffer;
  clock: Clock;
  reportPolicy: ReportPolicy;
  levelGates: boolean;
  evm: EvmSettings | undefined;
};

/** The domains as the application wires them, on a host where no machine runs and with nobody who takes up tasks. */
async function wire(ground: Ground) {
  const { db, limits, agentBonusCents, signupBonusCents, github, secret, clock, reportPolicy, levelGates, evm } =
    ground;
  const log = createLog({ level: 'fatal' });
  const ledger = createLedger({ db });
  const onAccountOpened = walletOpener(ledger, { challenge: agentBonusCents, github: signupBonusCents });
  const identity = createIdentity({ db, limits, secret, adminKey: ADMIN_KEY, github, onAccountOpened });
  const machines = createMachines({ db, driver: listedMachines(), clock, log });
  const shelf = await openShelf({ dataDir: IMAGES_DIR, cacheDir: IMAGES_DIR });
  const images = createImages({ db, clock, log, jobs: NOBODY, machines, shelf, insecureRegistries: [] });
  const sandboxes = createSandboxes({ db, clock, log, jobs: NOBODY, ledger, machines, images, secret });
  const ssh = createSsh({
    db,
    machines,
    clock,
    place: 'nowhere',
    secret,
    host: () => 'freehold.test',
    ports: { first: 20_000, last: 20_999 },
    listen: async () => true,
    unlisten: () => {},
  });
  const environments = createEnvironments({ db, clock, log, jobs: NOBODY, ledger, machines, images, dir: IMAGES_DIR });
  const compute = createCompute({
    db,
    clock,
    log,
    jobs: NOBODY,
    ledger,
    machines,
    ssh: listedSsh(),
    blobs: openBlobs({ directory: join(IMAGES_DIR, 'blobs') }),
    secret,
    addresses: [],
    hostAddress: async () => '192.0.2.10',
    place: 'nowhere',
    home: undefined,
  });
  const { send } = createFetch({ privateAddresses: 'allowed', maxReplyBytes: MAX_RPC_REPLY_BYTES });
  const payments = createPayments({ db, clock, log, ledger, secret, dir: IMAGES_DIR, evm, send });
  const models = await openModels({ providers: NO_PROVIDERS });
  const fetch = createFetch({ privateAddresses: 'loopback' });
  const tasks = createTasks({
    db,
    clock,
    log,
    jobs: NOBODY,
    ledger,
    machines,
    models,
    webhookUrlProblem: fetch.urlProblem,
  });
  const grid = createGrid({
    db,
    clock,
    log,
    jobs: NOBODY,
    limits,
    ledger,
    identity,
    machines,
    fetch,
    secret,
    publicUrl: () => 'https://freehold.test',
    settings: { reportPolicy, levelGates, syncToken: SYNC_TOKEN, internalKey: INTERNAL_KEY },
    place: 'nowhere',
    search: undefined,
  });
  const webhooks = createWebhooks({
    db,
    clock,
    worldClock: clock,
    fetch,
    secret,
    subscribers: a2aSubscribers(grid, taskSubscribers(tasks)),
    publications: gridPublications(grid),
    signEvent: signGridEvent,
  });
  return {
    ledger,
    identity,
    machines,
    images,
    ssh,
    sandboxes,
    environments,
    compute,
    payments,
    models,
    tasks,
    webhooks,
    grid,
  };
}

function shiftedClock() {
  let aheadMs = 0;
  return {
    now: () => new Date(Date.now() + aheadMs),
    advance: (milliseconds: number) => void (aheadMs += milliseconds),
  };
}

const caller = (origin: string) =>
  async function call(method: string, path: string, { key, body, headers }: CallOptions = {}): Promise<Reply> {
    const response = await fetch(origin + path, {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };

/** What an agent that has never seen the server does to get its first key. */
async function register(call: TestApis['call'], name = 'test-agent'): Promise<Agent> {
  const { body } = await call('POST', '/v1/auth/register', { body: { ...(await solve(call)), name } });
  return { accountId: body.account_id, key: body.api_key, keyId: body.key_id };
}

/** The statuses of replies that came in any order. */
export const statusesOf = (replies: Reply[]): number[] =>
  replies.map((reply) => reply.status).toSorted((a, b) => a - b);

/** A fresh challenge's token with its right answer. */
export async function solve(call: TestApis['call']): Promise<{ token: string; answer: string }> {
  const { body } = await call('GET', '/v1/auth/challenge');
  return { token: body.token, answer: solveChallenge(body.challenge) };
}
