import { z } from 'zod';
import { SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentSandbox } from './present-sandbox.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { EXTENSION, SandboxShown, SANDBOXES, TimeoutSeconds } from './sandbox-wire.ts';
import { IdParams, WRITE } from './wire.ts';

const PauseBody = z.object({
  keep_memory: z
    .boolean()
    .default(true)
    .meta({ description: 'Whether its processes go on where they stopped; else only its disk is kept.' }),
});
const ResumeBody = z.object({
  timeout_seconds: TimeoutSeconds.min(1)
    .optional()
    .meta({ description: 'Where left out it has the time that it had left.', examples: [3600] }),
});
const TimeoutBody = z.object({
  timeout_seconds: TimeoutSeconds.meta({
    description: 'From now; may be sooner or later than before. 0 ends it at once.',
    examples: [3600],
  }),
});

const shown = { 200: { description: 'The sandbox', schema: SandboxShown } };

export const sandboxRestRoutes = ({ sandboxes, publicUrl }: SandboxDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/pause',
    tag: SANDBOXES,
    summary: 'Pause a sandbox',
    description: `Nothing is charged while it is paused. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    body: PauseBody,
    fails: ['conflict', 'at_capacity'],
    replies: shown,
    handle: async (op, { params, body }) => {
      const sandbox = await sandboxes.pause(op, params.id, { keepMemory: body.keep_memory });
      return ok(presentSandbox(sandbox, publicUrl()));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/resume',
    tag: SANDBOXES,
    summary: 'Resume a paused sandbox',
    description: `One that runs lives at least as long as is asked for. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: IdParams,
    body: ResumeBody,
    fails: ['conflict', 'unaffordable', 'at_capacity'],
    replies: shown,
    handle: async (op, { params, body }) => {
      const timeoutMs = body.timeout_seconds === undefined ? undefined : body.timeout_seconds * SECOND;
      const { sandbox } = await sandboxes.keepAlive(op, params.id, timeoutMs);
      return ok(presentSandbox(sandbox, publicUrl()));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/timeout',
    tag: SANDBOXES,
    summary: 'Set when a sandbox ends',
    description: EXTENSION,
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    body: TimeoutBody,
    fails: ['conflict'],
    replies: shown,
    handle: async (op, { params, body }) => {
      const sandbox = await sandboxes.setTimeout(op, params.id, body.timeout_seconds * SECOND);
      return ok(presentSandbox(sandbox, publicUrl()));
    },
  }),
];
