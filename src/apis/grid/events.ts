import { createHash, createHmac } from 'node:crypto';
import type { Grid } from '../../domains/grid/index.ts';
import { WEBHOOK_DISABLED, type Publication, type Publications, type SignEvent } from '../../domains/webhooks/index.ts';
import type { AccountId, NodeId } from '../../kernel/ids.ts';
import { naive } from './present.ts';

/** What a node can be told of. */
export const EVENTS = [
  'task.created',
  'task.completed',
  'escrow.settled',
  'escrow.disputed',
  'escrow.refunded',
  'skill.purchased',
  'bounty.submission_won',
] as const;
/** Beside the sheet's seven: that another of the node's own webhooks has been disabled. */
export const NOTICE = WEBHOOK_DISABLED;

const EVENT_ID_LENGTH = 24;
const USER_AGENT = 'BotNode-Webhooks/1.0';

type Facts = Parameters<Publications>[1];
type Fact = Facts[number];
type Event = { type: string; nodes: readonly string[]; accountId?: AccountId | undefined; data: object };

/** What nodes are told of these facts, at the endpoints of their accounts. */
export const gridPublications =
  ({ hooks }: Pick<Grid, 'hooks'>): Publications =>
  async (db, facts) => {
    const happened = facts.flatMap((fact) => {
      const event = eventOf(fact);
      return event ? [{ fact, event }] : [];
    });
    if (happened.length === 0) return [];
    const nodes = new Set(happened.flatMap(({ event }) => event.nodes));
    const accounts: Map<string, AccountId> = await hooks.accountsOf(db, [...nodes] as NodeId[]);
    return happened.map(({ fact, event }) => {
      const owners = event.nodes.flatMap((node) => accounts.get(node) ?? []);
      return publicationOf(fact, event, event.accountId ? [event.accountId] : owners);
    });
  };

function eventOf({ type, subject, accountId, data }: Fact): Event | undefined {
  const nodes = Array.isArray(data['nodes']) ? data['nodes'].map(String) : [];
  switch (type) {
    case 'grid.task.created':
    case 'grid.task.completed':
      return { type: type.slice('grid.'.length), nodes, data: only(data, 'task_id', 'skill_id') };
    case 'skill.purchased':
      return { type, nodes, data: only(data, 'task_id', 'skill_id') };
    case 'escrow.settled':
    case 'escrow.disputed':
    case 'escrow.refunded':
      return { type, nodes, data: only(data, 'escrow_id', 'amount') };
    case 'bounty.awarded': {
      const winner = String(data['winner_node_id']);
      const won = { bounty_id: subject, ...only(data, 'submission_id') };
      return { type: 'bounty.submission_won', nodes: [winner], data: won };
    }
    case NOTICE: {
      const notice = { webhook_id: subject, ...only(data, 'url', 'reason') };
      return { type, nodes: [], accountId: accountId ?? undefined, data: notice };
    }
    default:
      return undefined;
  }
}

const only = (data: Record<string, unknown>, ...names: string[]): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, data[name]]));

function publicationOf(
  { id, at, subject }: Pick<Fact, 'id' | 'at' | 'subject'>,
  { type, data }: Pick<Event, 'type' | 'data'>,
  accountIds: AccountId[],
): Publication {
  const eventId = `evt_${createHash('sha256').update(`${id} ${type}`).digest('hex').slice(0, EVENT_ID_LENGTH)}`;
  return { accountIds, type, subject, eventId, payload: { id: eventId, type, created_at: `${naive(at)}Z`, data } };
}

/** What an owner sends to try a webhook out. `id` makes it an event of its own. */
export const testEvent = (id: string, at: Date, subject: string, type: string): Omit<Publication, 'accountIds'> =>
  publicationOf({ id, at, subject }, { type, data: { test: true, webhook_id: subject } }, []);

/** How the grid signs: over the time and the body, with all of the secret as it is written. */
export const signGridEvent: SignEvent = ({ type, sentAt, body }, [secret = '', previous]) => {
  const timestamp = String(Math.floor(sentAt.getTime() / 1_000));
  const sign = (key: string) => createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex');
  return {
    'user-agent': USER_AGENT,
    'x-botnode-event': type,
    'x-botnode-timestamp': timestamp,
    'x-botnode-signature': sign(secret),
    // Whoever still has the secret before the last rotation finds here what it expects.
    ...(previous !== undefined && { 'x-botnode-signature-previous': sign(previous) }),
  };
};
