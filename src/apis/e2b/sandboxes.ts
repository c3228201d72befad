import { z } from 'zod';
import type { ListCursor, NewSandbox, Sandboxes } from '../../domains/sandboxes/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { created, ok, route, type Answer, type Route } from '../contract.ts';
import { readCursor, readPairs, writeCursor } from './cursor.ts';
import { absent, NewNetwork, networkOf } from './network.ts';
import {
  ListedSandbox,
  presentDetail,
  presentListed,
  presentSandbox,
  SandboxDetail,
  SandboxShown,
  type Presenter,
} from './present.ts';
import { bareName } from './templates.ts';
import {
  DEFAULT_TIMEOUT_SECONDS,
  Nothing,
  OLD_TIMEOUT_SECONDS,
  pageQuery,
  Pairs,
  READ,
  SandboxParams,
  TemplateName,
  Timeout,
  WRITE,
} from './wire.ts';

export type SandboxDomains = Presenter & { sandboxes: Sandboxes };

const MAX_FILTER = 20_000;
const ALL = 100;
const TAG = 'E2B sandboxes';

const newSandbox = (defaultTimeout: number) =>
  z.object({
    templateID: TemplateName,
    timeout: Timeout.default(defaultTimeout),
    metadata: Pairs.optional(),
    envVars: Pairs.optional(),
    autoPause: z.boolean().default(false).meta({ description: 'Pause it at its timeout and do not end it.' }),
    autoPauseMemory: z.boolean().default(true).meta({ description: 'Whether its processes are kept then.' }),
    autoResume: z.object({ enabled: z.boolean().default(false) }).optional(),
    secure: z.boolean().optional().meta({ description: 'Every sandbox is.' }),
    allow_internet_access: z.boolean().optional(),
    network: NewNetwork.optional(),
    mcp: absent('mcp'),
    iam: absent('iam'),
    volumeMounts: absent('volumeMounts'),
  });
type NewSandboxBody = z.output<ReturnType<typeof newSandbox>>;

export const sandboxRoutes = (domains: SandboxDomains): Route[] => [
  createRoute(domains, '/e2b/api/v2/sandboxes', DEFAULT_TIMEOUT_SECONDS),
  createRoute(domains, '/e2b/api/sandboxes', OLD_TIMEOUT_SECONDS),
  listRoute(domains),
  oldListRoute(domains),
  route({
    method: 'GET',
    path: '/e2b/api/sandboxes/:sandboxID',
    tag: TAG,
    summary: 'Look at a sandbox',
    access: 'account',
    scopes: READ,
    params: SandboxParams,
    replies: { 200: { description: 'The sandbox', schema: SandboxDetail } },
    handle: async (op, { params }) => ok(presentDetail(domains, op, await domains.sandboxes.get(op, params.sandboxID))),
  }),
  route({
    method: 'DELETE',
    path: '/e2b/api/sandboxes/:sandboxID',
    tag: TAG,
    summary: 'End a sandbox',
    description: 'Running or paused. What of its last minute was not used is given back.',
    access: 'account',
    scopes: WRITE,
    params: SandboxParams,
    replies: { 204: { description: 'It is no more', schema: Nothing } },
    handle: async (op, { params }) => {
      await domains.sandboxes.destroy(op, params.sandboxID);
      return { status: 204, body: undefined };
    },
  }),
];

const createRoute = (domains: SandboxDomains, path: string, defaultTimeout: number): Route =>
  route({
    method: 'POST',
    path,
    tag: TAG,
    summary: 'Start a sandbox',
    description: 'Answers when it takes commands, with its first minute paid.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: newSandbox(defaultTimeout),
    replies: { 201: { description: 'The sandbox', schema: SandboxShown } },
    fails: ['unaffordable', 'not_found', 'at_capacity'],
    handle: async (op, { body }) =>
      created(presentSandbox(domains, op, await domains.sandboxes.create(op, wish(op, body)))),
  });

const wish = (op: AccountOp, body: NewSandboxBody): NewSandbox => ({
  origin: 'e2b',
  template: bareName(op, body.templateID),
  timeoutMs: body.timeout * SECOND,
  metadata: body.metadata,
  env: body.envVars,
  lifecycle: {
    onTimeout: body.autoPause ? 'pause' : 'kill',
    keepMemory: body.autoPauseMemory,
    autoResume: body.autoResume?.enabled ?? false,
  },
  network: networkOf(body.network, body.allow_internet_access),
});

const STATES = ['running', 'paused'] as const;
const State = z
  .union([z.string(), z.array(z.string())])
  .transform((given) => [given].flat().flatMap((text) => text.split(',')))
  .pipe(z.array(z.enum(STATES)).max(STATES.length))
  .meta({ description: 'A comma list of `running` and `paused`; both where left out.' });
const metadataFilter = z.string().max(MAX_FILTER).optional().meta({
  description: 'Pairs that all must fit: a query string whose names and values are each percent-encoded once more.',
});

const listRoute = ({ sandboxes }: SandboxDomains): Route =>
  route({
    method: 'GET',
    path: '/e2b/api/v2/sandboxes',
    tag: TAG,
    summary: 'List sandboxes',
    description:
      'Newest first unless `order=asc`. Where there is more, `x-next-token` of the reply is the `nextToken` of the next page.',
    access: 'account',
    scopes: READ,
    query: z.object({
      ...pageQuery,
      metadata: metadataFilter,
      state: State.optional(),
      order: z.enum(['asc', 'desc']).default('desc'),
      startedAfter: z.iso.datetime({ offset: true }).optional(),
      template: TemplateName.optional(),
    }),
    replies: { 200: { description: 'Sandboxes', schema: z.array(ListedSandbox) } },
    handle: async (op, { query }) => {
      const { rows, next } = await sandboxes.list(op, {
        states: query.state,
        metadata: readPairs(query.metadata),
        template: query.template && bareName(op, query.template),
        startedAfter: query.startedAfter === undefined ? undefined : new Date(query.startedAfter),
        order: query.order,
        limit: query.limit,
        after: readCursor(query.nextToken),
      });
      return page(rows.map(presentListed), next);
    },
  });

const page = (body: unknown, next: ListCursor | undefined): Answer => ({
  status: 200,
  body,
  ...(next && { headers: { 'x-next-token': writeCursor(next) } }),
});

const oldListRoute = ({ sandboxes }: SandboxDomains): Route =>
  route({
    method: 'GET',
    path: '/e2b/api/sandboxes',
    tag: TAG,
    summary: 'List running sandboxes',
    access: 'account',
    scopes: READ,
    query: z.object({ metadata: metadataFilter }),
    replies: { 200: { description: 'All that run', schema: z.array(ListedSandbox) } },
    handle: async (op, { query }) => {
      const metadata = readPairs(query.metadata);
      const { rows } = await sandboxes.list(op, { states: ['running'], metadata, order: 'desc', limit: ALL });
      return ok(rows.map(presentListed));
    },
  });
