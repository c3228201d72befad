import { MINUTE } from '../../kernel/time.ts';
import type { Api } from '../contract.ts';
import { authRoutes } from './auth.ts';
import { backupRoutes } from './backups.ts';
import { catalogueRoutes } from './catalogue.ts';
import { ErrorBody, presentError } from './errors.ts';
import { powerRoutes } from './power.ts';
import { scheduleRoutes } from './schedules.ts';
import { serverRoutes, type ServersDomains } from './servers.ts';
import { topupRoutes } from './topups.ts';

export type { ServersDomains } from './servers.ts';

const ACCOUNT_LIMIT = { name: 'servers', max: 100, windowMs: MINUTE };
/** What is at the root and of this contract. */
const OWN = /^\/(auth\/(register|login|me)|billing(\/topups(\/.*)?)?|servers(\/.*)?|backups(\/.*)?|plans|regions)$/;

/** The servers contract (seed 003). */
export const serversApi = (domains: ServersDomains): Api => ({
  name: 'servers',
  title: 'Servers',
  routes: [
    ...authRoutes(domains),
    ...topupRoutes(domains),
    ...catalogueRoutes(domains),
    ...serverRoutes(domains),
    ...powerRoutes(domains),
    ...backupRoutes(domains),
    ...scheduleRoutes(domains),
  ],
  accountLimit: ACCOUNT_LIMIT,
  owns: (path) => OWN.test(path),
  presentError,
  errorSchema: ErrorBody,
});
