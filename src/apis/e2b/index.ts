import { z } from 'zod';
import type { Machines } from '../../domains/machines/index.ts';
import type { Sandboxes } from '../../domains/sandboxes/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Api, type Route } from '../contract.ts';
import { envdRoutes } from './envd/index.ts';
import { ErrorBody, presentError } from './errors.ts';
import { interpreterRoutes } from './interpreter/index.ts';
import { lifecycleRoutes } from './lifecycle.ts';
import { logRoutes } from './logs.ts';
import { metricRoutes } from './metrics.ts';
import { networkRoutes } from './network.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { snapshotRoutes } from './snapshots.ts';
import { templateRoutes } from './templates.ts';

export type E2bDomains = {
  machines: Machines;
  sandboxes: Sandboxes;
  /** Where a name below the domain of apps is reached. */
  appUrl: (label: string) => string;
};

/** Programs that drive sandboxes ask more often than agents with tasks. */
const ACCOUNT_LIMIT = { name: 'e2b', max: 1_200, windowMs: MINUTE };

/** The E2B contract: its control plane under /e2b/api, the daemon of its sandboxes under /e2b/envd. */
export const e2bApi = (domains: E2bDomains): Api => ({
  name: 'e2b',
  title: 'E2B',
  routes: [
    ...sandboxRoutes({ ...domains, appsDomain: appsDomainOf(domains) }),
    ...lifecycleRoutes({ ...domains, appsDomain: appsDomainOf(domains) }),
    ...networkRoutes(domains),
    ...metricRoutes(domains),
    ...logRoutes(domains),
    ...snapshotRoutes(domains),
    ...templateRoutes(domains),
    healthRoute(),
  ],
  raw: [...envdRoutes(domains), ...interpreterRoutes(domains)],
  accountLimit: ACCOUNT_LIMIT,
  owns: (path) => path === '/e2b' || path.startsWith('/e2b/') || path === '/files',
  presentError,
  errorSchema: ErrorBody,
});

/** The host without its first label, with the port where the server has one of its own. */
const appsDomainOf =
  ({ appUrl }: E2bDomains) =>
  (): string =>
    new URL(appUrl('x')).host.replace(/^x\./, '');

const healthRoute = (): Route =>
  route({
    method: 'GET',
    path: '/e2b/api/health',
    tag: 'E2B sandboxes',
    summary: 'Whether the contract is served',
    access: 'public',
    replies: { 200: { description: 'It is', schema: z.object({ status: z.literal('ok') }) } },
    handle: async () => ok({ status: 'ok' }),
  });
