import type { Identity } from '../../domains/identity/index.ts';
import type { Images } from '../../domains/machines/index.ts';
import type { Models } from '../../domains/models/index.ts';
import type { Tasks } from '../../domains/tasks/index.ts';
import type { Webhooks } from '../../domains/webhooks/index.ts';
import type { Api } from '../contract.ts';
import { accountRoutes } from './account.ts';
import { computeRoutes, type ComputeDomains } from './compute.ts';
import { creditRoutes, type CreditDomains } from './credits.ts';
import { ErrorBody, presentError } from './errors.ts';
import { imageRoutes } from './images.ts';
import { keyRoutes } from './keys.ts';
import { modelRoutes } from './models.ts';
import { registrationRoutes } from './registration.ts';
import { sandboxRoutes, type SandboxDomains } from './sandboxes.ts';
import { taskRoutes } from './tasks.ts';
import { webhookRoutes } from './webhooks.ts';

export { taskSubscribers } from './task-subscribers.ts';

export type AgentsDomains = CreditDomains &
  SandboxDomains &
  ComputeDomains & {
    identity: Identity;
    images: Images;
    models: Models;
    tasks: Tasks;
    webhooks: Webhooks;
  };

/** The agents contract (seed 000). */
export const agentsApi = (domains: AgentsDomains): Api => ({
  name: 'agents',
  title: 'Agents',
  routes: [
    ...registrationRoutes(domains),
    ...accountRoutes(domains),
    ...keyRoutes(domains),
    ...modelRoutes(domains),
    ...taskRoutes(domains),
    ...imageRoutes(domains),
    ...sandboxRoutes(domains),
    ...computeRoutes(domains),
    ...creditRoutes(domains),
    ...webhookRoutes(domains),
  ],
  owns: (path) => path === '/v1' || path.startsWith('/v1/'),
  presentError,
  errorSchema: ErrorBody,
});
