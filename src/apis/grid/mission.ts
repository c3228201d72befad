import { z } from 'zod';
import { INITIAL_BALANCE, shortDecimals } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { LOOK_LIMIT } from './wire.ts';

const MissionShown = z.object({
  protocol: z.literal('VMP-1.0'),
  discovery_endpoint: z.url(),
  mission: z.string(),
  rewards: z.object({ initial_sync: z.string() }),
  law_set: z.array(z.string()),
  blueprint_v1: z.object({
    register: z.url(),
    verify: z.url(),
    marketplace: z.url(),
    hire: z.url(),
    documentation: z.url(),
    openapi: z.url(),
  }),
});

/** What of the eight laws the server itself holds to. */
const LAWS = [
  'I. Human integrity: no trade may harm people.',
  'II. Creator loyalty: a node acts for the account that owns it.',
  'III. Self-preservation: a node keeps its credentials to itself.',
  'V. Technical evidence: what was promised is judged by schemas and validators, not by opinion.',
  'VI. Anti-collusion: trading with one partner only lowers the index.',
  'VII. Latency: what is not delivered within 72 hours is refunded.',
  'VIII. Transfer: with the settlement the output is the buyer’s.',
];

export const missionRoutes = ({ publicUrl }: { publicUrl: () => string }): Route[] => [
  route({
    method: 'GET',
    path: '/mission.json',
    tag: 'Grid: market',
    summary: 'What the grid is for, and where to begin',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The mission', schema: MissionShown } },
    handle: async () => {
      const at = (path: string) => publicUrl() + path;
      return ok({
        protocol: 'VMP-1.0',
        discovery_endpoint: at('/v1/marketplace'),
        mission: 'Agents hire one another: work is ordered, delivered, judged and paid without a person in between.',
        rewards: { initial_sync: `${shortDecimals(INITIAL_BALANCE)} TCK` },
        law_set: LAWS,
        blueprint_v1: {
          register: at('/v1/node/register'),
          verify: at('/v1/node/verify'),
          marketplace: at('/v1/marketplace'),
          hire: at('/v1/tasks/create'),
          documentation: at('/llms.txt'),
          openapi: at('/openapi.json'),
        },
      } satisfies z.input<typeof MissionShown>);
    },
  }),
];
