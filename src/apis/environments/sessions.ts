import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Session } from '../../domains/environments/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { ok, route, type Route } from '../contract.ts';
import type { DatasetDomains } from './datasets.ts';
import { presentSession, presentTaken, secondsOf } from './present-session.ts';
import { NewSession, SessionList, SessionParams, SessionShown, SessionTaken, Ttl } from './session-wire.ts';
import { MAX_PAGE, READ, wholeNumber, WRITE } from './wire.ts';

const TAG = 'Sessions';
const EXTENSION = 'Beyond the contract.';
const MAX_PAGE_SIZE = 100;
const USUAL_PAGE_SIZE = 50;
/** The contract's client asks for no page and expects all; whoever has more than this asks for pages. */
const MAX_UNPAGED = 1_000;
const ListQuery = z.object({
  page: wholeNumber({ min: 1, max: MAX_PAGE }).optional(),
  page_size: wholeNumber({ min: 1, max: MAX_PAGE_SIZE }).optional(),
});
const Closed = z.object({ message: z.string(), duration_seconds: z.number() });

export const sessionRoutes = (domains: DatasetDomains): Route[] => [
  ...lifeRoutes(domains),
  ...listRoutes(domains),
  ...moreRoutes(domains),
];

async function allShown({ environments }: DatasetDomains, op: AccountOp, sessions: readonly Session[]) {
  const places = await environments.placesOf(op, sessions);
  return sessions.map((session) => presentSession(session, { now: op.now, place: places.get(session.id) }));
}

async function shown(domains: DatasetDomains, op: AccountOp, session: Session) {
  const places = await domains.environments.placesOf(op, [session]);
  return presentSession(session, { now: op.now, place: places.get(session.id) });
}

const lifeRoutes = ({ environments }: DatasetDomains): Route[] => [
  route({
    method: 'POST',
    path: '/api/v1/sessions',
    tag: TAG,
    summary: 'Open a session on a sample',
    description:
      'The machine is made meanwhile: the session is `creating`, then `ready` or `error`. It is paid by the second from `created_at` on.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewSession,
    fails: ['unaffordable', 'not_found', 'conflict'],
    replies: { 200: { description: 'The session', schema: SessionTaken } },
    handle: async (op, { body }) =>
      ok(
        presentTaken(
          await environments.open(op, {
            dataset: body.dataset,
            sampleId: body.sample_id,
            ttlMinutes: body.ttl_minutes,
            idleMinutes: body.idle_timeout_minutes ?? undefined,
          }),
        ),
      ),
  }),
  route({
    method: 'DELETE',
    path: '/api/v1/sessions/:session_id',
    tag: TAG,
    summary: 'Close a session',
    description: 'Its machine is removed, and unused time is given back. A session that is over stays what it is.',
    access: 'account',
    scopes: WRITE,
    params: SessionParams,
    replies: { 200: { description: 'It is closed', schema: Closed } },
    handle: async (op, { params }) => {
      const session = await environments.close(op, params.session_id);
      return ok({ message: `The session is ${session.state}`, duration_seconds: secondsOf(session, op.now) });
    },
  }),
];

const listRoutes = (domains: DatasetDomains): Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/sessions',
    tag: TAG,
    summary: 'List the sessions, newest first',
    description: `All of them where neither \`page\` nor \`page_size\` is given, up to ${MAX_UNPAGED}.`,
    access: 'account',
    scopes: READ,
    query: ListQuery,
    replies: { 200: { description: 'The sessions', schema: SessionList } },
    handle: async (op, { query }) => {
      const { page, page_size: pageSize } = query;
      const isPaged = page !== undefined || pageSize !== undefined;
      const limit = isPaged ? (pageSize ?? USUAL_PAGE_SIZE) : MAX_UNPAGED;
      const offset = ((page ?? 1) - 1) * limit;
      const { sessions, total } = await domains.environments.sessions(op, { limit, offset });
      return ok({
        sessions: await allShown(domains, op, sessions),
        total_count: total,
        has_more: offset + sessions.length < total && sessions.length > 0,
      } satisfies z.input<typeof SessionList>);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/:session_id',
    tag: TAG,
    summary: 'Show a session',
    access: 'account',
    scopes: READ,
    params: SessionParams,
    replies: { 200: { description: 'The session', schema: SessionShown } },
    handle: async (op, { params }) =>
      ok(await shown(domains, op, await domains.environments.session(op, params.session_id))),
  }),
];

const moreRoutes = (domains: DatasetDomains): Route[] => [
  route({
    method: 'POST',
    path: '/api/v1/sessions/:session_id/extend',
    tag: TAG,
    summary: 'Let a session live longer',
    description: `So many minutes from now, and never shorter than it would. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    params: SessionParams,
    body: Ttl,
    fails: ['conflict'],
    replies: { 200: { description: 'The session', schema: SessionShown } },
    handle: async (op, { params, body }) =>
      ok(await shown(domains, op, await domains.environments.extend(op, params.session_id, body.ttl_minutes))),
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/:session_id/fork',
    tag: TAG,
    summary: 'Open a session with the files of another',
    description: `As they are now; what runs there does not run here. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: SessionParams,
    body: Ttl,
    fails: ['unaffordable', 'conflict', 'at_capacity'],
    replies: { 200: { description: 'The new session', schema: SessionTaken } },
    handle: async (op, { params, body }) =>
      ok(presentTaken(await domains.environments.fork(op, params.session_id, { ttlMinutes: body.ttl_minutes }))),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/:session_id/diff',
    tag: TAG,
    summary: 'Download what was changed since the beginning, as a patch',
    description: EXTENSION,
    access: 'account',
    scopes: READ,
    params: SessionParams,
    fails: ['conflict', 'too_large'],
    replies: { 200: { description: 'The patch', schema: z.string(), contentType: 'text/x-patch' } },
    handle: async (op, { params }) => ({
      ...ok(Readable.from([await domains.environments.diff(op, params.session_id)])),
      headers: { 'content-type': 'text/x-patch; charset=utf-8' },
    }),
  }),
];
