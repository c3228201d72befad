import type { Environments } from '../../domains/environments/index.ts';
import type { Machines } from '../../domains/machines/index.ts';
import type { Api } from '../contract.ts';
import { clockRoutes, type MovableClock } from './clock.ts';
import { creditRoutes, type CreditDomains } from './credits.ts';
import { datasetRoutes } from './datasets.ts';
import { ErrorBody, presentError } from './errors.ts';
import { holdRoutes } from './holds.ts';
import { limitRoutes, type LimitDomains } from './limits.ts';
import { machineRoutes } from './machines.ts';
import { topupRoutes, type TopupDomains } from './topups.ts';

export type { MovableClock } from './clock.ts';

export type AdminDomains = CreditDomains &
  LimitDomains &
  TopupDomains & {
    machines: Pick<Machines, 'list' | 'sweep'>;
    environments: Environments;
    /** Undefined unless FREEHOLD_TEST_CLOCK is on. */
    clock: MovableClock | undefined;
  };

/** What only the operator may do: credits, the ledger's proof, machines, datasets, the test clock. */
export const adminApi = (domains: AdminDomains): Api => ({
  name: 'admin',
  title: 'Operations',
  routes: [
    ...creditRoutes(domains),
    ...holdRoutes(domains),
    ...limitRoutes(domains),
    ...topupRoutes(domains),
    ...machineRoutes(domains),
    ...datasetRoutes(domains),
    ...clockRoutes(domains),
  ],
  owns: (path) => path === '/v1/admin' || path.startsWith('/v1/admin/'),
  presentError,
  errorSchema: ErrorBody,
});
