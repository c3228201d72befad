import { z } from 'zod';
import { SCHEDULE_BOUNDS, type Compute } from '../../domains/compute/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentSchedule } from './present.ts';
import { IdParams, LOOK, RENT, Timestamp } from './wire.ts';

const TAG = 'Backups';
const PATH = '/servers/:id/backup-schedule';
const EXTENSION = 'Beyond the contract’s document.';
const { everyHours, keep } = SCHEDULE_BOUNDS;

const Wish = z.object({
  everyHours: z
    .int()
    .min(everyHours.least)
    .max(everyHours.most)
    .meta({ examples: [24] }),
  keep: z
    .int()
    .min(keep.least)
    .max(keep.most)
    .default(keep.most)
    .meta({ description: 'So many of those that it had made are kept, none longer than any backup.', examples: [3] }),
});
export const ScheduleShown = Wish.extend({
  keep: z.int(),
  nextAt: Timestamp,
  skipped: z.string().nullable().meta({ description: 'Why the last one was not made; null where it was.' }),
});
const OneSchedule = z.object({ schedule: ScheduleShown });

export const scheduleRoutes = ({ compute }: { compute: Compute }): Route[] => [
  route({
    method: 'GET',
    path: PATH,
    tag: TAG,
    summary: 'Show when a server is backed up by itself',
    description: `404 where it is not. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The schedule', schema: OneSchedule } },
    handle: async (op, { params }) => ok({ schedule: presentSchedule(await compute.backupSchedule(op, params.id)) }),
  }),
  route({
    method: 'PUT',
    path: PATH,
    tag: TAG,
    summary: 'Have a server backed up by itself',
    description: `The first time after \`everyHours\`. When a new one is AVAILABLE, those that it had made beyond \`keep\` expire. What cannot be made is left out. ${EXTENSION}`,
    access: 'account',
    scopes: RENT,
    params: IdParams,
    body: Wish,
    fails: ['conflict'],
    replies: { 200: { description: 'The schedule', schema: OneSchedule } },
    handle: async (op, { params, body }) =>
      ok({ schedule: presentSchedule(await compute.scheduleBackups(op, params.id, body)) }),
  }),
  route({
    method: 'DELETE',
    path: PATH,
    tag: TAG,
    summary: 'Have a server backed up by itself no more',
    description: `What was made is kept until it expires. ${EXTENSION}`,
    access: 'account',
    scopes: RENT,
    params: IdParams,
    replies: { 200: { description: 'It has no schedule', schema: z.object({ ok: z.literal(true) }) } },
    handle: async (op, { params }) => {
      await compute.unscheduleBackups(op, params.id);
      return ok({ ok: true });
    },
  }),
];
