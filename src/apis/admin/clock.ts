import { z } from 'zod';
import { AppError } from '../../kernel/errors.ts';
import { DAY, SECOND, elapsedMs } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';

/** Longer jumps are slips of the keyboard. */
const MAX_JUMP = 3_660 * DAY;

/** The platform's time where a test may move it. */
export type MovableClock = {
  /** Moves the time forward, runs everything that became due, and answers when that is done. */
  advance(milliseconds: number): Promise<{ now: Date; jobsRun: number }>;
};

const Move = z
  .object({
    advance_seconds: z
      .number()
      .min(0)
      .max(MAX_JUMP / SECOND)
      .optional()
      .meta({ examples: [3600] }),
    set: z.iso
      .datetime({ offset: true, error: 'must be an ISO 8601 time' })
      .optional()
      .meta({ examples: ['2126-03-13T12:00:00Z'] }),
  })
  .refine((move) => (move.advance_seconds === undefined) !== (move.set === undefined), {
    error: 'Either advance_seconds or set is required',
  });
const Now = z.object({ now: z.iso.datetime() });
const Moved = Now.extend({ jobs_run: z.int() });

/** Without a clock that can be moved there are no such routes. */
export const clockRoutes = ({ clock }: { clock: MovableClock | undefined }): Route[] => (clock ? routesOf(clock) : []);

const routesOf = (clock: MovableClock): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/clock',
    tag: 'Operations',
    summary: 'Tell the platform’s time',
    access: 'admin',
    replies: { 200: { description: 'The time', schema: Now } },
    handle: async (op) => ok({ now: op.now.toISOString() }),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/clock',
    tag: 'Operations',
    summary: 'Move the platform’s time forward and run everything that became due',
    access: 'admin',
    body: Move,
    replies: { 200: { description: 'The new time, and how many jobs ran', schema: Moved } },
    handle: async (op, { body }) => {
      const { now, jobsRun } = await clock.advance(jumpOf(body, op.now));
      return ok({ now: now.toISOString(), jobs_run: jobsRun });
    },
  }),
];

/** Milliseconds to move. Throws `invalid` for a move back. */
function jumpOf(move: z.output<typeof Move>, now: Date): number {
  const jump = move.set === undefined ? (move.advance_seconds ?? 0) * SECOND : elapsedMs(now, new Date(move.set));
  if (jump < 0) throw new AppError('invalid', 'set must not be in the past: the clock never goes back');
  if (jump > MAX_JUMP) throw new AppError('invalid', `set must be at most ${MAX_JUMP / DAY} days ahead`);
  return jump;
}
