import { z } from 'zod';
import type { Sandbox, Sandboxes } from '../../domains/sandboxes/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { NetworkShown, presentNetwork } from './network.ts';
import { Pairs, Timestamp } from './wire.ts';

/** From our nouns to the sheet's JSON: pure functions, one for each shape that is shown in more than one place. */

/** The daemon version whose behaviour `envd/` has; clients ask it before they use what came later. */
export const ENVD_VERSION = '0.6.4';
/** A field that the sheet requires and nobody reads any more. */
const CLIENT_ID = 'freehold';
const SNAPSHOT_ID = /^snp_/;
const MIB_IN_GIB = 1_024;

export type PresentSandboxes = Pick<Sandboxes, 'accessToken' | 'trafficToken'>;
export type Presenter = { sandboxes: PresentSandboxes; appsDomain: () => string };

const named = {
  sandboxID: z.string().meta({ examples: ['i0k3v9x2m4q8z7c1b5n6'] }),
  templateID: z.string().meta({ examples: ['base'] }),
  alias: z.string().optional(),
  clientID: z.string(),
  envdVersion: z.string().meta({ examples: [ENVD_VERSION] }),
};

export const SandboxShown = z.object({
  ...named,
  envdAccessToken: z
    .string()
    .optional()
    .meta({ description: 'Opens the sandbox itself. Only for keys that may `exec`.' }),
  trafficAccessToken: z.string().nullable(),
  domain: z.string().nullable(),
});

const described = {
  ...named,
  startedAt: Timestamp,
  endAt: Timestamp,
  state: z.enum(['running', 'paused']),
  cpuCount: z.number(),
  memoryMB: z.number(),
  diskSizeMB: z.number(),
  metadata: Pairs,
};
export const ListedSandbox = z.object(described);
export const SandboxDetail = z.object({
  ...described,
  envdAccessToken: z.string().optional(),
  domain: z.string().nullable(),
  allowInternetAccess: z.boolean().nullable(),
  network: NetworkShown,
  lifecycle: z.object({ autoResume: z.boolean(), onTimeout: z.enum(['kill', 'pause']) }),
});

/** Who may not run anything gets no token to do it with. */
const mayExec = ({ actor }: AccountOp): boolean => actor.scopes === null || actor.scopes.includes('exec');

const envdAccessToken = ({ sandboxes }: Presenter, op: AccountOp, sandbox: Sandbox) =>
  mayExec(op) ? { envdAccessToken: sandboxes.accessToken(sandbox) } : {};

/** In this contract a sandbox with public traffic has no private ports, and its clients expect no token. */
export const isOpen = ({ origin, network }: Sandbox): boolean => origin === 'e2b' && network.publicTraffic;

const names = ({ code, template }: Sandbox) => ({
  sandboxID: code,
  templateID: template,
  ...(!SNAPSHOT_ID.test(template) && { alias: template }),
  clientID: CLIENT_ID,
  envdVersion: ENVD_VERSION,
});

/** What a client needs to use a sandbox: the answer to create, connect, resume and fork. */
export const presentSandbox = (
  presenter: Presenter,
  op: AccountOp,
  sandbox: Sandbox,
): z.input<typeof SandboxShown> => ({
  ...names(sandbox),
  ...envdAccessToken(presenter, op, sandbox),
  trafficAccessToken: isOpen(sandbox) ? null : presenter.sandboxes.trafficToken(sandbox),
  domain: presenter.appsDomain(),
});

export const presentListed = (sandbox: Sandbox): z.input<typeof ListedSandbox> => ({
  ...names(sandbox),
  startedAt: sandbox.startedAt.toISOString(),
  endAt: (sandbox.endAt ?? FAR_AWAY).toISOString(),
  state: sandbox.state === 'paused' ? 'paused' : 'running',
  cpuCount: sandbox.limits.vcpus,
  memoryMB: sandbox.limits.memoryMb,
  diskSizeMB: Math.round(sandbox.limits.diskGb * MIB_IN_GIB),
  metadata: sandbox.metadata,
});

/** Where a sandbox has no end; the sheet has no word for that. */
const FAR_AWAY = new Date('9999-12-31T23:59:59.999Z');

export const presentDetail = (
  presenter: Presenter,
  op: AccountOp,
  sandbox: Sandbox,
): z.input<typeof SandboxDetail> => ({
  ...presentListed(sandbox),
  ...envdAccessToken(presenter, op, sandbox),
  domain: presenter.appsDomain(),
  allowInternetAccess: sandbox.network.internet ?? null,
  network: presentNetwork(sandbox.network),
  lifecycle: { autoResume: sandbox.lifecycle.autoResume, onTimeout: sandbox.lifecycle.onTimeout },
});
