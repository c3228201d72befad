/** Composition: what stands on what, started and stopped in order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { adminApi, type AdminDomains, type MovableClock } from './apis/admin/index.ts';
import { agentsApi, taskSubscribers, type AgentsDomains } from './apis/agents/index.ts';
import type { Api } from './apis/contract.ts';
import { authenticator } from './apis/credentials.ts';
import { e2bApi, type E2bDomains } from './apis/e2b/index.ts';
import { environmentsApi, type EnvironmentsDomains } from './apis/environments/index.ts';
import { a2aSubscribers, gridApis, gridPublications, signGridEvent, type GridDomains } from './apis/grid/index.ts';
import { serve, socketFront, type Edge } from './apis/serve.ts';
import { serversApi, type ServersDomains } from './apis/servers/index.ts';
import { createEnvironments } from './domains/environments/index.ts';
import { createGrid, MAX_SEARCH_REPLY_BYTES } from './domains/grid/index.ts';
import { createIdentity, MAX_GITHUB_REPLY_BYTES, type IdentityDeps } from './domains/identity/index.ts';
import { createLedger, depositOf, type Ledger } from './domains/ledger/index.ts';
import { machineSweeps } from './domains/machines/index.ts';
import { openModels } from './domains/models/index.ts';
import { createSandboxes } from './domains/sandboxes/index.ts';
import { createTasks } from './domains/tasks/index.ts';
import { createWebhooks, webhookSweeps } from './domains/webhooks/index.ts';
import { cents } from './kernel/money.ts';
import { newId, type Op } from './kernel/op.ts';
import type { Clock } from './kernel/time.ts';
import { openTestClock, systemClock } from './platform/clock.ts';
import { openDatabase } from './platform/db.ts';
import { clientReader } from './platform/client-address.ts';
import { createFetch } from './platform/fetch.ts';
import { createHttpServer, listenOn } from './platform/http.ts';
import { forgetOldReplies } from './platform/idempotency.ts';
import { createJobs, defineSweep, installJobs, type SweepDefinition } from './platform/jobs/index.ts';
import { forgetEndedWindows, noRequestLimits, requestLimits } from './platform/limits.ts';
import type { Log } from './platform/log.ts';
import { createMetrics } from './platform/metrics.ts';
import { createProxy } from './proxy/index.ts';
import { dashboardPages } from './web/dashboard/index.ts';
import { webApi } from './web/index.ts';
import { unreachablePage } from './web/unreachable.ts';
import { wireCompute, wireMachines, wirePayments, type AppOptions, type Ground } from './wiring.ts';

export type App = {
  /** Where it answers; undefined for a process that only works in the background. */
  url: string | undefined;
  /** Answers what has been asked, hands on what is under way, and lets go of everything. Machines go on. */
  stop(): Promise<void>;
};

/** How long requests and short jobs under way may take when the process stops. */
const DRAIN_MS = 10_000;

export const VERSION: string = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')).version;

export async function startApp(options: AppOptions): Promise<App> {
  const { config, log } = options;
  await installJobs(options.ownerUrl);
  const db = openDatabase({
    url: options.appUrl,
    onError: ({ message }) => log.warn({ reason: message }, 'a database connection was lost'),
  });
  const testClock = config.testClock === 'on' ? await openTestClock(db) : undefined;
  const clock = testClock ?? systemClock;
  const metrics = createMetrics({ version: VERSION });
  const jobs = createJobs({ url: options.appUrl, clock, log, onRun: metrics.jobRan });
  const ground: Ground = { ...options, db, clock, testClock, jobs, address: { url: config.publicUrl ?? '' } };
  const domains = await wireDomains(ground);
  await domains.machines.adopt(systemOp(clock, 'start'));
  await domains.machines.openGateway();
  await domains.environments.takeInStarter(systemOp(clock, 'start'));
  await domains.payments.tellUnread();
  await jobs.start({
    jobs: [...domains.tasks.jobs, ...domains.images.jobs, ...domains.environments.jobs, ...domains.compute.jobs],
    sweeps: sweepsOf(ground, domains),
    takes: config.roles.worker ? 'all' : 'none',
  });
  const letGo = async () => {
    await Promise.all([domains.tasks.stop(), jobs.stop({ timeoutMs: DRAIN_MS })]);
    // Machines that somebody has go on; what only waited for somebody is not left on a host where nobody comes any more.
    await domains.machines
      .drainPool(systemOp(clock, 'stop'))
      .catch((error: unknown) => log.warn({ err: error }, 'the pool could not be drained'));
    await domains.machines.close();
    await db.close();
  };
  try {
    const http = config.roles.api ? await listen(ground, domains, metrics) : undefined;
    const stop = async () => {
      await http?.close();
      await letGo();
    };
    return { url: http?.url, stop };
  } catch (error) {
    await letGo();
    throw error;
  }
}

type Domains = Awaited<ReturnType<typeof wireDomains>>;

async function wireDomains(ground: Ground) {
  const { config, installation, log, db, clock, jobs } = ground;
  const limits = config.rateLimits === 'on' ? requestLimits : noRequestLimits;
  const ledger = createLedger({ db });
  const githubFetch = createFetch({ privateAddresses: 'allowed', maxReplyBytes: MAX_GITHUB_REPLY_BYTES });
  const identity = createIdentity({
    db,
    limits,
    secret: installation.secret,
    adminKey: installation.adminKey,
    github: config.github && { ...config.github, send: githubFetch.send },
    onAccountOpened: walletOpener(ledger, config.welcome),
  });
  const onMachines = await wireMachines(ground);
  const { machines, images, ssh, place } = onMachines;
  const shared = { db, clock, log, jobs, ledger, machines };
  const { secret } = installation;
  const sandboxes = createSandboxes({ ...shared, images, secret });
  const compute = wireCompute(ground, { ledger, machines, ssh, place });
  const payments = wirePayments(ground, ledger);
  const environments = createEnvironments({ ...shared, images, dir: join(config.dataDir, 'datasets') });
  const models = await openModels({ file: config.modelsFile, providers: config.providers });
  const fetch = createFetch({ privateAddresses: config.privateWebhooks === 'on' ? 'loopback' : 'refused' });
  const tasks = createTasks({ ...shared, models, webhookUrlProblem: fetch.urlProblem });
  const grid = createGrid({
    ...shared,
    limits,
    identity,
    fetch,
    secret,
    publicUrl: () => ground.address.url,
    settings: config.grid,
    place,
    search: searchEngine(config.searchUrl),
  });
  const webhooks = createWebhooks({
    db,
    clock,
    worldClock: systemClock,
    fetch,
    secret,
    subscribers: a2aSubscribers(grid, taskSubscribers(tasks)),
    publications: gridPublications(grid),
    signEvent: signGridEvent,
  });
  return {
    limits,
    ledger,
    identity,
    ...onMachines,
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

/** What the operator has named may stand anywhere. */
const searchEngine = (url: string | undefined) =>
  url === undefined
    ? undefined
    : { url, send: createFetch({ privateAddresses: 'allowed', maxReplyBytes: MAX_SEARCH_REPLY_BYTES }).send };

/** Cents that the operator gives, by how an account was opened. */
export type Welcome = { challenge: number; github: number };

/**
 * A new account has its wallets, and in them what the operator gives. An e-mail address that nobody has looked at costs
 * nothing to make up, and a sum of primes little: whoever has one has proved nothing. GitHub logs nobody in whose address
 * it has not verified.
 */
export const walletOpener =
  (ledger: Ledger, welcome: Welcome): IdentityDeps['onAccountOpened'] =>
  async (tx, op, accountId, by) => {
    await ledger.openWallet(tx, accountId);
    const amount = cents(by === 'email' || by === 'node' ? 0 : welcome[by]);
    if (amount === 0n) return;
    const id = newId(op, 'transfer', 'welcome');
    await ledger.transfer(tx, op, depositOf({ id, accountId, amount, description: 'Welcome' }));
  };

/** Everything that looks after itself, whether or not anybody asks. */
function sweepsOf(
  { db }: Ground,
  { ledger, identity, machines, images, sandboxes, environments, compute, payments, tasks, webhooks, grid }: Domains,
): SweepDefinition[] {
  return [
    ...tasks.sweeps,
    ...images.sweeps,
    ...sandboxes.sweeps,
    ...environments.sweeps,
    ...compute.sweeps,
    ...payments.sweeps,
    ...grid.sweeps,
    ...webhookSweeps(webhooks),
    ...machineSweeps(machines),
    defineSweep({ name: 'ledger.expire-holds', everySeconds: 5, runDue: (op) => ledger.expireDueHolds(op) }),
    defineSweep({ name: 'identity.forget-expired', everySeconds: 60, runDue: (op) => identity.forgetExpired(op) }),
    defineSweep({ name: 'platform.forget-windows', everySeconds: 60, runDue: (op) => forgetEndedWindows(db, op.now) }),
    defineSweep({ name: 'platform.forget-replies', everySeconds: 3_600, runDue: (op) => forgetOldReplies(db, op.now) }),
  ];
}

async function listen(ground: Ground, domains: Domains, metrics: ReturnType<typeof createMetrics>) {
  const { config, installation, log, db, clock, address } = ground;
  const { sshGateway, ssh } = domains;
  const clientOf = clientReader(config.trustProxy);
  const proxy = createProxy({
    appsDomain: config.appsDomain,
    ...domains,
    clock,
    log,
    clientOf,
    visited: metrics.proxied,
    page: unreachablePage,
  });
  const sockets = socketFront(
    () => apis,
    (request, response) => server.routing(request, response),
  );
  const server = createHttpServer({ trustProxy: config.trustProxy, fronts: [proxy, sockets] });
  const apis = apisOf(ground, domains, metrics);
  serve(server, apis, {
    db,
    clock,
    limits: domains.limits,
    secret: installation.secret,
    authenticate: authenticator(domains.grid.nodes.recogniser(domains.identity.authenticate)),
    answered: teller(metrics, log),
  });
  const listening = await listenOn(server, config);
  const url = listening.replace('[::1]', 'localhost');
  address.url ||= url;
  await sshGateway.serve(ssh);
  const close = async () => {
    sshGateway.close();
    await Promise.all([server.close(), proxy.close()]);
  };
  return { url, close };
}

const teller =
  (metrics: ReturnType<typeof createMetrics>, log: Log): Edge['answered'] =>
  (event) => {
    metrics.answered(event);
    // A sandbox that is gone, or a call that we do not have, is no failure of ours.
    if (event.status === 500 || event.status === 503)
      log.error(
        { err: event.error?.cause ?? event.error, requestId: event.op.requestId, route: event.route },
        'request failed',
      );
  };

/** Every contract, and what stands at the origin beside them. */
function apisOf(ground: Ground, domains: Domains, metrics: ReturnType<typeof createMetrics>): Api[] {
  const { config, log, db, address } = ground;
  const publicUrl = () => address.url;
  const appUrl = appUrlOf(publicUrl, config.appsDomain);
  const ping = () => db.ping();
  const served = contracts({
    ...domains,
    db,
    publicUrl,
    appUrl,
    clock: movableClock(ground),
    version: VERSION,
    ping,
    dashboard: dashboardPages(VERSION),
  });
  const web = webApi({
    apis: served,
    publicUrl,
    version: VERSION,
    health: ping,
    metrics: metrics.text,
    sharedTrade: domains.grid.sandbox.shared,
    portraits: domains.grid.portraits,
    transmissions: {
      dir: join(config.dataDir, 'transmissions'),
      onBadFile: (file, reason) => log.warn({ file, reason }, 'a transmission cannot be shown'),
    },
  });
  return [...served, web];
}

/** Where a name below the domain of apps is reached: with the scheme and the port of the server's own address. */
export const appUrlOf = (publicUrl: () => string, appsDomain: string) => (label: string) => {
  const { protocol, port } = new URL(publicUrl());
  return `${protocol}//${label}.${appsDomain}${port && `:${port}`}`;
};

/** Every contract. What holds for all of them, like the test of bad input, takes them from here. */
export const contracts = (
  domains: AgentsDomains & AdminDomains & E2bDomains & EnvironmentsDomains & ServersDomains & GridDomains,
): Api[] => [
  agentsApi(domains),
  adminApi(domains),
  e2bApi(domains),
  environmentsApi(domains),
  serversApi(domains),
  ...gridApis(domains),
];

function movableClock({ testClock, clock, jobs }: Ground): MovableClock | undefined {
  if (!testClock) return undefined;
  return {
    async advance(milliseconds) {
      await testClock.advanceBy(milliseconds);
      const jobsRun = await jobs.runDueNow(systemOp(clock, 'clock'));
      return { now: clock.now(), jobsRun };
    },
  };
}

const systemOp = (clock: Clock, name: string): Op => ({
  actor: { kind: 'system', name },
  requestId: `system-${name}`,
  now: clock.now(),
  signal: new AbortController().signal,
});
