import { MINUTE } from '../../kernel/time.ts';
import type { Api, Route } from '../contract.ts';
import { keyRoutes } from './api-keys.ts';
import { authRoutes } from './auth.ts';
import { billingRoutes, type BillingDomains } from './billing.ts';
import { datasetRoutes, type DatasetDomains } from './datasets.ts';
import { ErrorBody, presentError } from './errors.ts';
import { healthRoute, type HealthDomains } from './health.ts';
import { interactionRoutes } from './interactions.ts';
import { sampleRoutes } from './samples.ts';
import { sessionRoutes } from './sessions.ts';
import { userRoutes } from './users.ts';
import { verifyRoutes } from './verify.ts';

/** Its clients poll many sessions at once. */
const ACCOUNT_LIMIT = { name: 'environments', max: 1_200, windowMs: MINUTE };
const BASE = '/api/v1';

export type EnvironmentsDomains = HealthDomains & BillingDomains & DatasetDomains;

/** The environments contract (seed 001). Its document's paths have no base; its clients have /api/v1. */
export function environmentsApi(domains: EnvironmentsDomains): Api {
  const routes = [
    healthRoute(domains),
    ...withoutBaseToo([
      ...authRoutes(domains),
      ...userRoutes(domains),
      ...keyRoutes(domains),
      ...billingRoutes(domains),
      ...datasetRoutes(domains),
      ...sampleRoutes(domains),
      ...sessionRoutes(domains),
      ...interactionRoutes(domains),
      ...verifyRoutes(domains),
    ]),
  ];
  const roots = new Set(routes.map(({ path }) => path).filter((path) => !path.startsWith(BASE)));
  return {
    name: 'environments',
    title: 'Environments',
    routes,
    accountLimit: ACCOUNT_LIMIT,
    owns: (path) => path === BASE || path.startsWith(`${BASE}/`) || roots.has(path) || OWN_ROOTS.test(path),
    presentError,
    errorSchema: ErrorBody,
  };
}

/** What at the root is of this contract alone; /auth and /billing it shares with others. */
const OWN_ROOTS = /^\/(users|datasets|samples|sessions)(\/|$)/;

const withoutBaseToo = (routes: Route[]): Route[] =>
  routes.flatMap((route) => [route, { ...route, path: route.path.slice(BASE.length), aliasOf: route.path }]);
