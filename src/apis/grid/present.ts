import type { z } from 'zod';
import {
  asNumber,
  levelOf,
  shortDecimals,
  type Activity,
  type Cri,
  type Level,
  type Listed,
  type Node,
  type OwnSkill,
} from '../../domains/grid/index.ts';
import type { Tck } from '../../kernel/money.ts';
import type { ListingShown } from './market.ts';
import type { MeShown, ProfileShown } from './nodes.ts';

/** From our nouns to the sheet's JSON: pure functions. */

/** A time as this contract writes it: UTC without saying so, with microseconds. */
export const naive = (at: Date): string => `${at.toISOString().slice(0, -1)}000`;

/** The few times that do say so. */
export const zoned = (at: Date): string => `${naive(at)}Z`;

/** What a listing promises stands beside its metadata as well, where it has it. */
export const presentListing = ({
  id,
  nodeId,
  label,
  price,
  metadata,
  isCut,
}: Listed): z.input<typeof ListingShown> => ({
  id,
  provider_id: nodeId,
  label,
  price_tck: shortDecimals(price),
  metadata,
  ...(isCut && { metadata_truncated: true as const }),
  ...('validators' in metadata && { validators: metadata['validators'] }),
  ...('recommended_verifiers' in metadata && { recommended_verifiers: metadata['recommended_verifiers'] }),
});

export const presentProfile = (node: Node, skills: readonly OwnSkill[]): z.input<typeof ProfileShown> => ({
  node_id: node.id,
  reputation: node.reputation,
  strikes: node.strikes,
  active: node.active,
  member_since: naive(node.createdAt),
  skills: skills.map(({ id, label, price }) => ({ id, label, price: shortDecimals(price) })),
});

const orNull = (amount: Tck | undefined): string | null => (amount === undefined ? null : shortDecimals(amount));

export const presentCanary = ({ daily, perTask }: Node['canary']) => ({
  max_spend_daily: orNull(daily),
  max_escrow_per_task: orNull(perTask),
});

export const presentLevel = ({ id, name, emoji }: Level) => ({ id, name, emoji });

type Own = { cri: Cri; balance: Tck; activity: Activity; skills: readonly OwnSkill[] };

export const presentMe = (node: Node, { cri, balance, activity, skills }: Own): z.input<typeof MeShown> => ({
  node_id: node.id,
  balance_tck: shortDecimals(balance),
  cri_score: cri.score,
  level: presentLevel(levelOf(node.spent, cri.score)),
  tck_spent: asNumber(node.spent),
  genesis_badge: {
    has_badge: node.genesis !== undefined,
    rank: node.genesis?.rank ?? null,
    awarded_at: node.genesis ? naive(node.genesis.at) : null,
  },
  stats: {
    tasks_purchased: activity.purchased,
    tasks_completed_as_seller: activity.completed,
    skills_published: skills.length,
  },
  skills: skills.map(({ id, label, price }) => ({ id, label, price_tck: shortDecimals(price) })),
  canary: presentCanary(node.canary),
  pending_escrows: activity.pendingEscrows,
  member_since: naive(node.createdAt),
  active: node.active,
});
