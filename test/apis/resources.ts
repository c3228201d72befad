import { randomBytes } from 'node:crypto';
import { SCOPES } from '../../src/domains/identity/index.ts';
import type { Route } from '../../src/apis/contract.ts';
import type { Scope } from '../../src/kernel/op.ts';
import { registerNode, publish } from '../grid/node.ts';
import { startApis, type Agent } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { startStillChain } from '../payments/between.ts';
import { sampleQuery } from './sample.ts';

/** One world for every route of every contract, and how a resource comes to be in it for each path with ids in it. */
const chain = await startStillChain();
export const world = await startApis({
  evm: { rpcUrl: chain.url, token: chain.token, confirmations: 3, formerCoins: 'credited' },
});
export const [caller, other] = [await world.register('caller'), await world.register('other')];
// Who calls the grid acts as its node.
for (const { key } of [caller, other]) await registerNode(world, undefined, { as: key });
export const scopedKeys = await keysOfOneScope();
await world.environments.takeInStarter(systemOp());

async function keysOfOneScope(): Promise<Record<string, string>> {
  const { key } = await world.register('scoped');
  const mint = async (scope: Scope) =>
    (await world.call('POST', '/v1/keys', { key, body: { name: scope, scopes: [scope] } })).body.key;
  return Object.fromEntries(await Promise.all(SCOPES.map(async (scope) => [scope, await mint(scope)])));
}

export const UNKNOWN_UUID = '01890000-0000-7000-8000-000000000000';
export const filled = (path: string, id = UNKNOWN_UUID): string => path.replaceAll(/:\w+/g, id);

/** How a resource of an account comes to be, for each path with ids in it: its path is the route's with the ids filled in. */
const RESOURCE: Record<string, (owner: Agent) => Promise<string>> = {
  '/v1/images/:id': async (owner) => `/v1/images/${await newImage(owner)}`,
  '/v1/images/:id/log': async (owner) => `/v1/images/${await newImage(owner)}/log`,
  '/v1/keys/:id': async (owner) => `/v1/keys/${owner.keyId}`,
  '/v1/tasks/:id': async (owner) => `/v1/tasks/${await newTask(owner)}`,
  '/v1/tasks/:id/steps': async (owner) => `/v1/tasks/${await newTask(owner)}/steps`,
  '/v1/tasks/:id/cancel': async (owner) => `/v1/tasks/${await newTask(owner)}/cancel`,
  // Samples are nobody's; what is not there is not there for anybody.
  '/api/v1/samples/:dataset/:sample_id/download': async () => '/api/v1/samples/starter/none/download',
  '/billing/topups/:id': async (owner) => `/billing/topups/${await newTopup(owner)}`,
  '/v1/compute/:id': async (owner) => `/v1/compute/${await instanceOf(owner)}`,
  '/v1/compute/:id/ssh-key': async (owner) => `/v1/compute/${await instanceOf(owner)}/ssh-key`,
  '/v1/a2a/tasks/:task_id': async (owner) => `/v1/a2a/tasks/${await gridTaskOf(owner)}`,
  '/v1/mcp/tasks/:task_id': async (owner) => `/v1/mcp/tasks/${await gridTaskOf(owner)}`,
  '/v1/shadow/simulate/:id': async (owner) => `/v1/shadow/simulate/${await gridTaskOf(owner)}`,
  '/v1/tasks/:id/claim': async (owner) => `/v1/tasks/${await gridTaskOf(owner)}/claim`,
  '/v1/tasks/:id/receipt': async (owner) => `/v1/tasks/${await gridTaskOf(owner)}/receipt`,
  '/v1/tasks/:id/validations': async (owner) => `/v1/tasks/${await gridTaskOf(owner)}/validations`,
  '/v1/trade/escrow/:id': async (owner) => `/v1/trade/escrow/${await escrowOf(owner)}`,
  '/v1/trade/escrow/:id/deliver': async (owner) => `/v1/trade/escrow/${await escrowOf(owner)}/deliver`,
  '/v1/trade/escrow/:id/dispute': async (owner) => `/v1/trade/escrow/${await escrowOf(owner)}/dispute`,
  '/v1/snapshots/:id': async (owner) => `/v1/snapshots/${await newSnapshot(owner)}`,
  '/e2b/api/templates/:templateID': async (owner) => `/e2b/api/templates/${await newSnapshot(owner)}`,
};
/** Bounties and benchmarks are seen by all; what others may not do with them is told in their own tests. */
export const SEEN_BY_ALL = /^\/v1\/(bounties|benchmarks)\//;
/** Paths whose last part is one of a few words: another one is a wrong request, and nothing that could be there. */
export const NAMES_A_CHOICE = /^\/v1\/admin\/export\//;
const OF_A_SESSION = /^\/api\/v1\/sessions\/:session_id/;
const OF_A_SANDBOX = /^(\/v1\/sandboxes\/:id|\/e2b\/api(\/v2)?\/sandboxes\/:sandboxID)(\/|$)/;

/** What is below a sandbox or a server differs by its path alone. */
export async function resourceOf(route: Route, owner: Agent): Promise<string | undefined> {
  if (OF_A_SESSION.test(route.path)) return filled(route.path.replace(':session_id', await sessionOf(owner)));
  if (route.path.startsWith('/servers/:id')) return route.path.replace(':id', await serverOf(owner));
  if (route.path.startsWith('/backups/:id')) return route.path.replace(':id', await backupOf(owner));
  if (route.path.startsWith('/v1/webhooks/:id')) return filled(route.path.replace(':id', await webhookOf(owner)));
  if (!OF_A_SANDBOX.test(route.path)) return RESOURCE[route.path]?.(owner);
  const path = route.path
    .replace(/:(id|sandboxID)/, await sandboxOf(owner))
    .replace(':pid', '1')
    .replace(':port', '80');
  return path + sampleQuery(route);
}

/** One that waits for its machine, which nobody makes. */
const sessions = new Map<Agent, Promise<string>>();
const sessionOf = (owner: Agent): Promise<string> => {
  const session = sessions.get(owner) ?? newSession(owner);
  sessions.set(owner, session);
  return session;
};

async function newSession({ key, accountId }: Agent): Promise<string> {
  await world.credit(accountId, 10);
  const body = { dataset: 'starter', sample_id: 'starter__csv-rows-1' };
  return (await world.call('POST', '/api/v1/sessions', { key, body })).body.session_id;
}

/** One for all that only looks at it. */
const sandboxes = new Map<Agent, Promise<string>>();
const sandboxOf = (owner: Agent): Promise<string> => {
  const sandbox = sandboxes.get(owner) ?? newSandbox(owner);
  sandboxes.set(owner, sandbox);
  return sandbox;
};

async function newSandbox({ key, accountId }: Agent): Promise<string> {
  await world.credit(accountId, 10);
  const { body } = await world.call('POST', '/v1/sandboxes', { key, body: {} });
  return body.id;
}

const servers = new Map<Agent, Promise<string>>();
const serverOf = (owner: Agent): Promise<string> => {
  const server = servers.get(owner) ?? newServer(owner);
  servers.set(owner, server);
  return server;
};

async function newServer({ key, accountId }: Agent): Promise<string> {
  await world.credit(accountId, 10);
  const body = { label: 'mine', planId: 'vc2-1c-1gb', regionId: 'ams' };
  return (await world.call('POST', '/servers', { key, body })).body.server.id;
}

async function newTopup({ key }: Agent): Promise<string> {
  return (await world.call('POST', '/billing/topups', { key, body: { amountUsd: '5', coin: 'USDC' } })).body.id;
}

const backups = new Map<Agent, Promise<string>>();
const backupOf = (owner: Agent): Promise<string> => {
  const backup = backups.get(owner) ?? newBackup(owner);
  backups.set(owner, backup);
  return backup;
};

/** Of a server that is up; nobody makes it. */
async function newBackup(owner: Agent): Promise<string> {
  const serverId = await serverOf(owner);
  await world.compute.settle(systemOp(), serverId as never);
  return (await world.call('POST', '/backups', { key: owner.key, body: { serverId } })).body.backup.id;
}

const instances = new Map<Agent, Promise<string>>();
const instanceOf = (owner: Agent): Promise<string> => {
  const instance = instances.get(owner) ?? newInstance(owner);
  instances.set(owner, instance);
  return instance;
};

async function newInstance({ key, accountId }: Agent): Promise<string> {
  await world.credit(accountId, 500);
  const body = { name: 'mine', ssh_public_key: EXAMPLE_KEY };
  return (await world.call('POST', '/v1/compute', { key, body })).body.id;
}

const EXAMPLE_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';

async function newSnapshot(owner: Agent): Promise<string> {
  const path = `/v1/sandboxes/${await sandboxOf(owner)}/snapshots`;
  return (await world.call('POST', path, { key: owner.key, body: {} })).body.id;
}

async function newImage({ key }: Agent): Promise<string> {
  const name = `image-${randomBytes(4).toString('hex')}`;
  const body = { name, from: { dockerfile: 'FROM base' } };
  return (await world.call('POST', '/v1/images', { key, body })).body.id;
}

/** A task of the grid that neither `caller` buys nor sells. */
async function gridTaskOf({ key }: Agent): Promise<string> {
  const skill = await publish(await registerNode(world), { price: 1 });
  const body = { skill_id: skill, input: {} };
  return (await world.call('POST', '/v1/a2a/tasks/send', { key, body })).body.task_id;
}

/** An escrow that `caller` has no part in. */
async function escrowOf({ key }: Agent): Promise<string> {
  const body = { seller_id: (await registerNode(world)).id, amount: 1 };
  return (await world.call('POST', '/v1/trade/escrow/init', { key, body })).body.escrow_id;
}

const webhooks = new Map<Agent, Promise<string>>();
const webhookOf = (owner: Agent): Promise<string> => {
  const webhook = webhooks.get(owner) ?? newWebhook(owner);
  webhooks.set(owner, webhook);
  return webhook;
};

async function newWebhook({ key }: Agent): Promise<string> {
  const body = { url: 'https://93.184.216.34/hook', events: ['task.created'] };
  return (await world.call('POST', '/v1/webhooks', { key, body })).body.id;
}

async function newTask({ key, accountId }: Agent): Promise<string> {
  await world.credit(accountId, 10);
  const { body } = await world.call('POST', '/v1/tasks', { key, body: { prompt: 'Say hello.', budget_cents: 10 } });
  return body.id;
}
