import type { Grid } from '../../domains/grid/index.ts';
import type { Subscribers } from '../../domains/webhooks/index.ts';
import { presentA2aTask } from './a2a.ts';

const TYPE = 'a2a.task.updated';

/** Beside all others: who gave a callback_url is sent the body of GET /v1/a2a/tasks/:id whenever the task moves on. */
export const a2aSubscribers =
  ({ bridge }: Pick<Grid, 'bridge'>, others: Subscribers): Subscribers =>
  async (db, fact) => {
    const told = await others(db, fact);
    const callback = await bridge.callback(db, fact);
    if (!callback) return told;
    const { accountId, url, watched } = callback;
    return [...told, { accountId, url, type: TYPE, payload: presentA2aTask(watched) }];
  };
