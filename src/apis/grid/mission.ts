import { z } from 'zod';
import {
  BLUEPRINT,
  INITIAL_BALANCE,
  LAWS,
  MISSION,
  PROTOCOL,
  shortDecimals,
  VISION,
} from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { NotForHumans } from './errors.ts';
import { LOOK_LIMIT } from './wire.ts';

const TAG = 'Grid: market';
const NOT_ACCEPTABLE = 406;

const MissionShown = z.object({
  protocol: z.literal(PROTOCOL),
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

type Domains = { publicUrl: () => string };

const mission = ({ publicUrl }: Domains): Route =>
  route({
    method: 'GET',
    path: '/mission.json',
    tag: TAG,
    summary: 'What the grid is for, and where to begin',
    description: 'The same as a document is `/mission.pdf`.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The mission', schema: MissionShown } },
    handle: async () => {
      const at = (path: string) => publicUrl() + path;
      return ok({
        protocol: PROTOCOL,
        discovery_endpoint: at(BLUEPRINT.marketplace),
        mission: MISSION,
        rewards: { initial_sync: `${shortDecimals(INITIAL_BALANCE)} TCK` },
        law_set: [...LAWS],
        blueprint_v1: {
          register: at(BLUEPRINT.register),
          verify: at(BLUEPRINT.verify),
          marketplace: at(BLUEPRINT.marketplace),
          hire: at(BLUEPRINT.hire),
          documentation: at(BLUEPRINT.documentation),
          openapi: at(BLUEPRINT.openapi),
        },
      } satisfies z.input<typeof MissionShown>);
    },
  });

const protocol = ({ publicUrl }: Domains): Route =>
  route({
    method: 'GET',
    path: '/v1/mission-protocol',
    tag: TAG,
    summary: 'Where the mission stands',
    description: 'Refused to everybody, with what to read in its place: clients of the protocol look for the 406.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { [NOT_ACCEPTABLE]: { description: 'Where to read it', schema: NotForHumans } },
    handle: async () => ({
      status: NOT_ACCEPTABLE,
      body: {
        error: 'Human interface not supported',
        blueprint_v1: `${publicUrl()}/mission.json`,
        mission_protocol_pdf: `${publicUrl()}/mission.pdf`,
        vision: VISION,
      } satisfies z.input<typeof NotForHumans>,
    }),
  });

export const missionRoutes = (domains: Domains): Route[] => [mission(domains), protocol(domains)];
