import { z } from 'zod';
import { asNumber, PERIODS, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { naive } from './present.ts';
import { presentEntry, presentFigures } from './present-figures.ts';
import { Amount, NodeName, Timestamp, wholeNumber } from './wire.ts';

const TAG = 'Grid: operator';
const MAX_ENTRIES = 500;
const USUAL_ENTRIES = 50;
const MAX_FILTER_LENGTH = 150;
const MAX_HASH_LENGTH = 500;
const MAX_ADDRESS_LENGTH = 45;
const MAX_REPUTATION = 10;

const StatsShown = z.object({
  period: z.enum(PERIODS),
  metrics: z.object({
    total_nodes: z.int(),
    active_skills: z.int(),
    tasks_processed: z.int(),
    transaction_volume: z.number(),
    genesis_vault: z.number(),
  }),
  timestamp: Timestamp,
});
export const MetricsShown = z.object({
  generated_at: z.string(),
  tasks: z.object({ total: z.int(), today: z.int(), last_7_days: z.int(), last_30_days: z.int() }),
  settlements: z.object({
    total_settled: z.int(),
    total_refunded: z.int(),
    total_disputed: z.int(),
    settle_rate_pct: z.number(),
    dispute_rate_pct: z.number(),
    auto_disputes: z.int(),
  }),
  gmv: z.object({
    total_tck_transacted: Amount,
    last_7_days_tck: Amount,
    last_30_days_tck: Amount,
    vault_balance: Amount,
  }),
  nodes: z.object({
    total_registered: z.int(),
    active_last_7_days: z.int(),
    genesis_filled: z.int(),
    genesis_total: z.int(),
  }),
  skills: z.object({ total_published: z.int() }),
  bounties: z.object({ total_created: z.int(), total_awarded: z.int() }),
  integrations: z.array(z.object({ integration: z.string(), tasks: z.int() })).meta({
    description: 'Programs that hired through the bridge, those that did most first.',
  }),
});
export const EntryShown = z.object({
  id: z.string(),
  timestamp: Timestamp,
  account: z.string().meta({ examples: ['my-agent-01'] }),
  type: z.enum(['DEBIT', 'CREDIT']),
  amount: Amount,
  balance_after: Amount,
  reference_type: z.string().meta({ examples: ['ESCROW_LOCK'] }),
  reference_id: z.string().nullable(),
  counterparty: z.string().nullable(),
  note: z.string(),
  narrative: z.string(),
});
const Sync = z.object({
  id: NodeName,
  api_key_hash: z.string().max(MAX_HASH_LENGTH).nullish(),
  reputation_score: z.number().min(0).max(MAX_REPUTATION).nullish(),
  active: z.boolean().nullish(),
  ip_address: z.string().max(MAX_ADDRESS_LENGTH).nullish(),
  created_at: z.iso
    .datetime({ local: true, offset: true })
    .nullish()
    .meta({ examples: ['2026-03-18T12:00:00'] }),
});

const stats = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'GET',
    path: '/v1/admin/stats',
    tag: TAG,
    summary: 'What has happened on the grid in a time',
    access: 'admin',
    query: z.object({ period: z.enum(PERIODS).default('24h') }),
    replies: { 200: { description: 'The figures', schema: StatsShown } },
    handle: async (op, { query }) => {
      const { nodes, skills, tasks, volume, vault } = await grid.figures.summary(op, query.period);
      return ok({
        period: query.period,
        metrics: {
          total_nodes: nodes,
          active_skills: skills,
          tasks_processed: tasks,
          transaction_volume: asNumber(volume),
          genesis_vault: asNumber(vault),
        },
        timestamp: naive(op.now),
      } satisfies z.input<typeof StatsShown>);
    },
  });

const metrics = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'GET',
    path: '/v1/admin/metrics',
    tag: TAG,
    summary: 'All figures of the grid',
    description: 'Sandbox nodes only play, and are in none of them.',
    access: 'admin',
    replies: { 200: { description: 'The figures', schema: MetricsShown } },
    handle: async (op) => ok(presentFigures(await grid.figures.all(op), op.now)),
  });

const transactions = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'GET',
    path: '/v1/admin/transactions',
    tag: TAG,
    summary: 'What was booked in TCK, newest first',
    access: 'admin',
    query: z.object({
      limit: wholeNumber({ min: 1, max: MAX_ENTRIES }).default(USUAL_ENTRIES),
      account: z
        .string()
        .max(MAX_FILTER_LENGTH)
        .optional()
        .meta({ description: 'A node, ESCROW:<id>, ESCROW:BOUNTY:<id>, VAULT, VAULT:SANDBOX or MINT.' }),
      reference_type: z.string().max(MAX_FILTER_LENGTH).optional(),
    }),
    replies: {
      200: { description: 'The entries', schema: z.object({ entries: z.array(EntryShown), count: z.int() }) },
    },
    handle: async (_op, { query }) => {
      const { account, reference_type: type, limit } = query;
      const entries = await grid.figures.books({ account, type, limit });
      return ok({ entries: entries.map(presentEntry), count: entries.length });
    },
  });

const sync = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'POST',
    path: '/api/v1/admin/sync/node',
    tag: TAG,
    summary: 'Take over a node of another system',
    description:
      'The bearer is FREEHOLD_ADMIN_SYNC_TOKEN. What is left out stays as it is; money is not taken over. A key hash is `$pbkdf2-sha256$…`.',
    access: 'public',
    secret: grid.nodes.syncSecret,
    body: Sync,
    fails: ['unauthenticated', 'unconfigured'],
    replies: {
      200: {
        description: 'It is taken over',
        schema: z.object({ status: z.literal('success'), node_id: z.string() }),
      },
    },
    handle: async (op, { body }) => {
      await grid.nodes.sync(op, {
        id: body.id,
        keyHash: body.api_key_hash ?? undefined,
        reputation: body.reputation_score ?? undefined,
        active: body.active ?? undefined,
        ipAddress: body.ip_address ?? undefined,
        createdAt: body.created_at ? inUtc(body.created_at) : undefined,
      });
      return ok({ status: 'success', node_id: body.id });
    },
  });

/** A time that does not say where is one in UTC, as everywhere in this contract. */
const inUtc = (text: string): Date => new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);

export const adminRoutes = (domains: { grid: Grid }): Route[] => [
  stats(domains),
  metrics(domains),
  transactions(domains),
  sync(domains),
];
