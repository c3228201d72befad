import { z } from 'zod';
import type { Sandboxes } from '../../domains/sandboxes/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { ok, route, type Route } from '../contract.ts';
import { READ, SandboxParams, Timestamp } from './wire.ts';

/** A sandbox's log: what happened to it. What its processes print is theirs to keep. */

const MAX_ENTRIES = 1_000;
const MAX_SEARCH = 256;
const TAG = 'E2B sandboxes';
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

const LogEntry = z.object({
  timestamp: Timestamp,
  level: z.enum(LEVELS),
  message: z.string(),
  fields: z.record(z.string(), z.string()),
});
type LogEntry = z.input<typeof LogEntry>;

const Milliseconds = z
  .string()
  .regex(/^\d{1,15}$/, { error: 'must be milliseconds since 1970' })
  .transform((text) => new Date(Number(text)));
const Limit = z
  .string()
  .regex(/^\d{1,9}$/, { error: `must be an integer from 1 to ${MAX_ENTRIES}` })
  .transform(Number)
  .pipe(z.int().min(1).max(MAX_ENTRIES))
  .default(MAX_ENTRIES);

type LogDomains = { sandboxes: Pick<Sandboxes, 'history'> };

export const logRoutes = ({ sandboxes }: LogDomains): Route[] => [
  route({
    method: 'GET',
    path: '/e2b/api/v2/sandboxes/:sandboxID/logs',
    tag: TAG,
    summary: 'Read what happened to a sandbox',
    access: 'account',
    scopes: READ,
    params: SandboxParams,
    query: z.object({
      cursor: Milliseconds.optional(),
      limit: Limit,
      direction: z.enum(['forward', 'backward']).default('forward'),
      level: z.enum(LEVELS).optional().meta({ description: 'This level and worse ones.' }),
      search: z.string().max(MAX_SEARCH).optional(),
    }),
    replies: { 200: { description: 'Its log', schema: z.object({ logs: z.array(LogEntry) }) } },
    handle: async (op, { params, query: { cursor, limit, direction, level = 'debug', search = '' } }) => {
      const order = direction === 'forward' ? 'asc' : 'desc';
      const entries = await entriesOf(sandboxes, op, params.sandboxID, { order, from: cursor, limit: MAX_ENTRIES });
      const isWanted = (entry: LogEntry) =>
        LEVELS.indexOf(entry.level) >= LEVELS.indexOf(level) && entry.message.includes(search);
      return ok({ logs: entries.filter(isWanted).slice(0, limit) });
    },
  }),
  route({
    method: 'GET',
    path: '/e2b/api/sandboxes/:sandboxID/logs',
    tag: TAG,
    summary: 'Read what happened to a sandbox, the older way',
    access: 'account',
    scopes: READ,
    params: SandboxParams,
    query: z.object({ start: Milliseconds.optional(), limit: Limit }),
    replies: {
      200: {
        description: 'Its log, as lines and as entries',
        schema: z.object({
          logs: z.array(z.object({ timestamp: Timestamp, line: z.string() })),
          logEntries: z.array(LogEntry),
        }),
      },
    },
    handle: async (op, { params, query: { start, limit } }) => {
      const logEntries = await entriesOf(sandboxes, op, params.sandboxID, { order: 'asc', from: start, limit });
      return ok({ logs: logEntries.map(({ timestamp, message }) => ({ timestamp, line: message })), logEntries });
    },
  }),
];

/** Reasons that nobody asked for. */
const UNWANTED = new Set<unknown>(['lost', 'money']);

async function entriesOf(
  sandboxes: LogDomains['sandboxes'],
  op: AccountOp,
  sandboxID: string,
  span: Parameters<Sandboxes['history']>[2],
): Promise<LogEntry[]> {
  const facts = await sandboxes.history(op, sandboxID, span);
  return facts.map(({ at, type, data }) => ({
    timestamp: at.toISOString(),
    level: UNWANTED.has(data['reason'] ?? data['by']) ? 'warn' : 'info',
    message: `Sandbox ${type.replace(/^sandbox\./, '')}`,
    fields: Object.fromEntries(
      Object.entries(data).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
    ),
  }));
}
