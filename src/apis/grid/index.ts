import type { Grid } from '../../domains/grid/index.ts';
import type { Webhooks } from '../../domains/webhooks/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Api } from '../contract.ts';
import { bountyRoutes } from './bounties.ts';
import { canaryRoutes } from './canary.ts';
import { ErrorBody, presentError } from './errors.ts';
import { gridFrame } from './frame.ts';
import { levelRoutes } from './levels.ts';
import { marketRoutes } from './market.ts';
import { nodesRoutes } from './nodes.ts';
import { registrationRoutes } from './registration.ts';
import { reportRoutes } from './reports.ts';
import { reputationRoutes } from './reputation.ts';
import { sessionRoutes } from './sessions.ts';
import { webhookRoutes } from './webhooks.ts';

/** Requests of one node, where its routes set no narrower limit. */
const ACCOUNT_LIMIT = { name: 'grid', max: 300, windowMs: MINUTE };
/** Everything below these is the grid's; single paths elsewhere are too. */
const OWN =
  /^\/v1\/(node|nodes|early-access|marketplace|trade|mcp|bounties|report|genesis|verifier-pioneers|levels|leaderboard|cri|shadow|sandbox|validators|a2a|network|benchmarks|seller|webhooks|mission-protocol)(\/|$)/;

export { gridPublications, signGridEvent } from './events.ts';

export type GridDomains = { grid: Grid; webhooks: Webhooks; publicUrl: () => string };

/** The grid contract (seed 002). */
export function gridApis(domains: GridDomains): Api[] {
  const routes = [
    ...registrationRoutes(domains),
    ...sessionRoutes(domains),
    ...nodesRoutes(domains),
    ...canaryRoutes(domains),
    ...marketRoutes(domains),
    ...reputationRoutes(domains),
    ...levelRoutes(domains),
    ...reportRoutes(domains),
    ...bountyRoutes(domains.grid),
    ...webhookRoutes(domains),
  ];
  const paths = new Set(routes.map(({ path }) => path));
  return [
    {
      name: 'grid',
      title: 'Grid',
      routes,
      accountLimit: ACCOUNT_LIMIT,
      frame: gridFrame(domains.publicUrl),
      owns: (path) => OWN.test(path) || paths.has(path),
      presentError,
      errorSchema: ErrorBody,
    },
  ];
}
