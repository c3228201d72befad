import type { Webhooks } from '../../domains/webhooks/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Api } from '../contract.ts';
import { a2aRoutes } from './a2a.ts';
import { adminEscrowRoutes } from './admin-escrows.ts';
import { adminReportRoutes } from './admin-reports.ts';
import { adminRoutes } from './admin.ts';
import { analyticsRoutes } from './analytics.ts';
import { benchmarkRoutes } from './benchmarks.ts';
import { bountyRoutes } from './bounties.ts';
import { canaryRoutes } from './canary.ts';
import { dashboardForms, dashboardRoutes, type DashboardDomains } from './dashboard.ts';
import { ErrorBody, presentError } from './errors.ts';
import { escrowRoutes } from './escrow.ts';
import { exportRoutes } from './export.ts';
import { gridFrame } from './frame.ts';
import { levelRoutes } from './levels.ts';
import { marketRoutes } from './market.ts';
import { McpErrorBody, presentMcpError } from './mcp-errors.ts';
import { mcpRoutes } from './mcp.ts';
import { missionRoutes } from './mission.ts';
import { networkRoutes } from './network.ts';
import { nodesRoutes } from './nodes.ts';
import { portraitRoutes } from './portraits.ts';
import { reconcileRoutes, type ReconcileDomains } from './reconcile.ts';
import { registrationRoutes } from './registration.ts';
import { reportRoutes } from './reports.ts';
import { reputationRoutes } from './reputation.ts';
import { sandboxRoutes } from './sandbox.ts';
import { sellerRoutes } from './seller.ts';
import { sessionRoutes } from './sessions.ts';
import { shadowRoutes } from './shadow.ts';
import { skillRoutes, type SkillsDomains } from './skills.ts';
import { taskRoutes } from './tasks.ts';
import { webhookRoutes } from './webhooks.ts';
import { validatorRoutes } from './validators.ts';

export { a2aSubscribers } from './a2a-subscribers.ts';

/** Requests of one node, where its routes set no narrower limit. */
const ACCOUNT_LIMIT = { name: 'grid', max: 300, windowMs: MINUTE };
/** Everything below these is the grid's; single paths elsewhere are too. */
const OWN =
  /^\/v1\/(node|nodes|early-access|marketplace|trade|mcp|bounties|report|genesis|verifier-pioneers|levels|leaderboard|cri|shadow|sandbox|validators|a2a|network|benchmarks|seller|webhooks|mission-protocol|skills)(\/|$)/;

export { gridPublications, signGridEvent } from './events.ts';

export type GridDomains = SkillsDomains &
  DashboardDomains &
  ReconcileDomains & { webhooks: Webhooks; publicUrl: () => string };

/** The grid contract (seed 002). */
export function gridApis(domains: GridDomains): Api[] {
  const routes = [
    ...registrationRoutes(domains),
    ...escrowRoutes(domains),
    ...taskRoutes(domains),
    ...shadowRoutes(domains),
    ...validatorRoutes(domains),
    ...sellerRoutes(domains),
    ...adminEscrowRoutes(domains),
    ...adminReportRoutes(domains),
    ...sessionRoutes(domains),
    ...nodesRoutes(domains),
    ...canaryRoutes(domains),
    ...marketRoutes(domains),
    ...reputationRoutes(domains),
    ...levelRoutes(domains),
    ...reportRoutes(domains),
    ...networkRoutes(domains),
    ...missionRoutes(domains),
    ...portraitRoutes(domains),
    ...adminRoutes(domains),
    ...reconcileRoutes(domains),
    ...analyticsRoutes(domains),
    ...exportRoutes(domains),
    ...dashboardRoutes(domains),
    ...bountyRoutes(domains.grid),
    ...webhookRoutes(domains),
    ...sandboxRoutes(domains),
    ...benchmarkRoutes(domains.grid),
    ...a2aRoutes(domains.grid, domains.publicUrl),
    ...skillRoutes(domains),
  ];
  const patterns = routes.map(
    ({ path }) => new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`),
  );
  return [
    {
      name: 'grid',
      title: 'Grid',
      routes,
      raw: dashboardForms(domains),
      accountLimit: ACCOUNT_LIMIT,
      frame: gridFrame(domains.publicUrl),
      owns: (path) => OWN.test(path) || patterns.some((pattern) => pattern.test(path)),
      presentError,
      errorSchema: ErrorBody,
    },
    mcpApi(domains),
  ];
}

/** The bridge words its errors in its own way. */
const mcpApi = ({ grid, publicUrl }: GridDomains): Api => ({
  name: 'grid-mcp',
  title: 'Grid: MCP bridge',
  routes: mcpRoutes(grid),
  accountLimit: ACCOUNT_LIMIT,
  frame: gridFrame(publicUrl),
  owns: (path) => path.startsWith('/v1/mcp/'),
  presentError: presentMcpError,
  errorSchema: McpErrorBody,
});
