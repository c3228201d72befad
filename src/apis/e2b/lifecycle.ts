import { z } from 'zod';
import type { Forked, Sandboxes } from '../../domains/sandboxes/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { AppError } from '../../kernel/errors.ts';
import { SECOND } from '../../kernel/time.ts';
import { created, route, type Answer, type Route } from '../contract.ts';
import { ErrorBody, errorBody } from './errors.ts';
import { presentSandbox, SandboxShown, type Presenter } from './present.ts';
import { DEFAULT_TIMEOUT_SECONDS, Nothing, OLD_TIMEOUT_SECONDS, SandboxParams, Timeout, WRITE } from './wire.ts';

export type LifecycleDomains = Presenter & { sandboxes: Sandboxes };

const TAG = 'E2B sandboxes';
const MAX_REFRESH_SECONDS = 3_600;
const MAX_FORKS = 100;
const NOTHING: Answer = { status: 204, body: undefined };
const shared = { tag: TAG, access: 'account', scopes: WRITE, params: SandboxParams } as const;

export const lifecycleRoutes = (domains: LifecycleDomains): Route[] => [
  connectRoute(domains, '/e2b/api/v2/sandboxes/:sandboxID/connect'),
  connectRoute(domains, '/e2b/api/sandboxes/:sandboxID/connect'),
  resumeRoute(domains),
  pauseRoute(domains),
  timeoutRoute(domains),
  refreshRoute(domains),
  forkRoute(domains),
];

const connectRoute = (domains: LifecycleDomains, path: string): Route =>
  route({
    ...shared,
    method: 'POST',
    path,
    summary: 'Connect to a sandbox',
    description: 'Lets it live at least so long from now, and wakes it where it is paused.',
    idempotent: true,
    body: z.object({
      timeout: Timeout.default(DEFAULT_TIMEOUT_SECONDS),
      memory: z.boolean().default(true).meta({ description: 'False starts a paused one from its disk.' }),
    }),
    replies: {
      200: { description: 'It was running', schema: SandboxShown },
      201: { description: 'It was paused and runs again', schema: SandboxShown },
    },
    fails: ['unaffordable', 'conflict', 'at_capacity'],
    handle: async (op, { params, body }) => {
      const { sandbox, resumed } = await domains.sandboxes.keepAlive(op, params.sandboxID, body.timeout * SECOND, {
        keepMemory: body.memory,
      });
      return { status: resumed ? 201 : 200, body: presentSandbox(domains, op, sandbox) };
    },
  });

const resumeRoute = (domains: LifecycleDomains): Route =>
  route({
    ...shared,
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/resume',
    summary: 'Resume a paused sandbox',
    description: 'The older spelling of connect.',
    idempotent: true,
    body: z.object({
      timeout: Timeout.default(OLD_TIMEOUT_SECONDS),
      autoPause: z.boolean().optional().meta({ description: 'Ignored: what was said at its creation holds.' }),
      memory: z.boolean().default(true),
    }),
    replies: { 201: { description: 'It runs again', schema: SandboxShown } },
    fails: ['unaffordable', 'conflict', 'at_capacity'],
    handle: async (op, { params, body }) => {
      const { state } = await domains.sandboxes.get(op, params.sandboxID);
      if (state === 'running') throw new AppError('conflict', 'Sandbox is already running');
      const { sandbox } = await domains.sandboxes.keepAlive(op, params.sandboxID, body.timeout * SECOND, {
        keepMemory: body.memory,
      });
      return created(presentSandbox(domains, op, sandbox));
    },
  });

const pauseRoute = ({ sandboxes }: LifecycleDomains): Route =>
  route({
    ...shared,
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/pause',
    summary: 'Pause a sandbox',
    description: 'Nothing is charged while it is paused.',
    body: z.object({
      memory: z.boolean().default(true).meta({ description: 'Whether its processes are kept, or only its disk.' }),
    }),
    replies: { 204: { description: 'It is paused', schema: Nothing } },
    fails: ['conflict', 'at_capacity'],
    handle: async (op, { params, body }) => {
      await sandboxes.pause(op, params.sandboxID, { keepMemory: body.memory });
      return NOTHING;
    },
  });

const timeoutRoute = ({ sandboxes }: LifecycleDomains): Route =>
  route({
    ...shared,
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/timeout',
    summary: 'Set how long a sandbox lives from now',
    description: 'May shorten its life.',
    body: z.object({ timeout: Timeout }),
    replies: { 204: { description: 'It is set', schema: Nothing } },
    fails: ['conflict'],
    handle: async (op, { params, body }) => {
      await sandboxes.setTimeout(op, params.sandboxID, body.timeout * SECOND);
      return NOTHING;
    },
  });

const refreshRoute = ({ sandboxes }: LifecycleDomains): Route =>
  route({
    ...shared,
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/refreshes',
    summary: 'Let a sandbox live longer',
    description: 'The older way: never shortens its life.',
    body: z.object({ duration: z.int().min(0).max(MAX_REFRESH_SECONDS).default(OLD_TIMEOUT_SECONDS) }),
    replies: { 204: { description: 'It lives at least so long', schema: Nothing } },
    fails: ['conflict'],
    handle: async (op, { params, body }) => {
      const { state } = await sandboxes.get(op, params.sandboxID);
      if (state !== 'running') throw new AppError('conflict', 'Sandbox is paused');
      await sandboxes.keepAlive(op, params.sandboxID, body.duration * SECOND);
      return NOTHING;
    },
  });

const ForkResult = z.union([z.object({ sandbox: SandboxShown }), z.object({ error: ErrorBody })]);

const forkRoute = (domains: LifecycleDomains): Route =>
  route({
    ...shared,
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/fork',
    summary: 'Fork a sandbox',
    description: 'New sandboxes whose disk begins as a copy of this one’s. Each is there or says why not.',
    idempotent: true,
    body: z.object({
      timeout: Timeout.default(OLD_TIMEOUT_SECONDS),
      count: z.int().min(1).max(MAX_FORKS).default(1),
    }),
    replies: { 201: { description: 'One entry for each', schema: z.array(ForkResult) } },
    fails: ['conflict'],
    handle: async (op, { params, body }) => {
      const options = { count: body.count, timeoutMs: body.timeout * SECOND };
      const forks = await domains.sandboxes.fork(op, params.sandboxID, options);
      return created(forks.map((fork) => presentFork(domains, op, fork)));
    },
  });

const presentFork = (domains: LifecycleDomains, op: AccountOp, fork: Forked): z.input<typeof ForkResult> =>
  'error' in fork ? { error: errorBody(fork.error) } : { sandbox: presentSandbox(domains, op, fork.sandbox) };
