import { z } from 'zod';
import { ok, route, type Route } from '../contract.ts';
import type { DatasetDomains } from './datasets.ts';
import { presentJob } from './present-session.ts';
import { JobParams, JobShown, JobStatus, SessionParams } from './session-wire.ts';
import { READ, Timestamp, Uuid, WRITE } from './wire.ts';

const TAG = 'Verification';
const JobTaken = z.object({ job_id: Uuid, started_at: Timestamp, status: JobStatus });

export const verifyRoutes = ({ environments }: DatasetDomains): Route[] => [
  route({
    method: 'POST',
    path: '/api/v1/sessions/:session_id/verify',
    tag: TAG,
    summary: 'Have the work of a session graded',
    description:
      'In a machine of its own, with hidden tests that never come into the session. The session goes on; what it does after has no effect on the grading.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: SessionParams,
    fails: ['conflict'],
    replies: { 200: { description: 'The job', schema: JobTaken } },
    handle: async (op, { params }) => {
      const { verification } = await environments.verify(op, params.session_id);
      return ok({
        job_id: verification.id,
        started_at: verification.createdAt.toISOString(),
        status: verification.state,
      } satisfies z.input<typeof JobTaken>);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/:session_id/verify/:job_id',
    tag: TAG,
    summary: 'Show a verification job and its result',
    access: 'account',
    scopes: READ,
    params: JobParams,
    replies: { 200: { description: 'The job', schema: JobShown } },
    handle: async (op, { params }) =>
      ok(presentJob(await environments.verification(op, params.session_id, params.job_id))),
  }),
];
