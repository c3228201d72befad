import type { Readable } from 'node:stream';
import { z } from 'zod';
import type { Desk, Grid } from '../../domains/grid/index.ts';
import { OPERATOR_SESSION_LASTS, type Identity } from '../../domains/identity/index.ts';
import type { DeliveryTally, Webhooks } from '../../domains/webhooks/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import {
  cookieIn,
  STATUS,
  route,
  type Answer,
  type BrowserSession,
  type RawAnswer,
  type RawRequest,
  type RawRoute,
  type Route,
} from '../contract.ts';

/** What the operator's pages look like; composition brings it, for pages are made elsewhere. */
export type DashboardPages = {
  figures(desk: Desk, deliveries: DeliveryTally): Answer;
  /** Asks for the admin key, and tells why where that did not let in. */
  signIn(problem?: string): Answer;
};

export type DashboardDomains = {
  grid: Grid;
  webhooks: Pick<Webhooks, 'tally'>;
  identity: Pick<Identity, 'operator'>;
  publicUrl: () => string;
  dashboard: DashboardPages;
};

const PATH = '/v1/admin/dashboard';
const COOKIE = 'freehold_operator';
const VIEW_LIMIT = { name: 'grid-dashboard', max: 120, windowMs: MINUTE };
/** Keys that one network tries. */
const SIGN_IN_LIMIT = { name: 'grid-sign-in', max: 5, windowMs: MINUTE };
const FORM = 'application/x-www-form-urlencoded';
const MAX_FORM_BYTES = 4_096;

/** What the operator looks at: with the admin key as everywhere, or signed in with it in a browser. */
export const dashboardRoutes = (domains: DashboardDomains): Route[] => [
  route({
    method: 'GET',
    path: PATH,
    tag: 'Grid: operator',
    summary: 'All figures of the grid on a page',
    description:
      'It refreshes itself every minute and loads nothing from elsewhere. A browser is asked for the admin key, and then looks for an hour by a cookie that opens nothing else.',
    access: 'admin',
    session: sessionOf(domains),
    addressLimit: VIEW_LIMIT,
    replies: { 200: { description: 'The page', schema: z.string(), contentType: 'text/html' } },
    handle: async (op) => {
      const [desk, deliveries] = await Promise.all([domains.grid.figures.desk(op), domains.webhooks.tally(op)]);
      return domains.dashboard.figures(desk, deliveries);
    },
  }),
];

const sessionOf = ({ identity, dashboard }: DashboardDomains): BrowserSession => ({
  cookie: COOKIE,
  stands: (op, value) => identity.operator.stands(op, value),
  signIn: () => refused(STATUS.unauthenticated, dashboard.signIn()),
});

/** The form that lets a browser in, and the one that ends that. */
export const dashboardForms = (domains: DashboardDomains): RawRoute[] => [
  {
    method: 'POST',
    path: PATH,
    handle: async (op, request, count) => {
      refuseForeign(request);
      await count(SIGN_IN_LIMIT);
      const key = (await readForm(request)).get('key')?.trim() ?? '';
      const token = await domains.identity.operator.signIn(op, key);
      return onward(cookie(domains, token, OPERATOR_SESSION_LASTS / SECOND));
    },
    presentError: (error) => refusedForm(domains, error),
  },
  {
    method: 'POST',
    path: `${PATH}/sign-out`,
    handle: async (op, request) => {
      refuseForeign(request);
      const token = cookieIn(request.headers, COOKIE);
      if (token !== undefined) await domains.identity.operator.signOut(op, token);
      return onward(cookie(domains, '', 0));
    },
    presentError: (error) => refusedForm(domains, error),
  },
];

/** Another site can send a form as well, in its visitor's name. */
function refuseForeign({ headers }: RawRequest): void {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return;
  throw new AppError('forbidden', 'This form was sent by another site.');
}

async function readForm({ headers, body }: RawRequest): Promise<URLSearchParams> {
  if (headers['content-type']?.toString().split(';')[0]?.trim().toLowerCase() !== FORM)
    throw new AppError('unsupported_media', `The form must be sent as ${FORM}.`);
  return new URLSearchParams(await readText(body));
}

async function readText(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > MAX_FORM_BYTES) throw new AppError('too_large', 'That is longer than any key.');
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString();
}

/** Only the dashboard is sent it, no script reads it, and no other site has it sent. */
function cookie({ publicUrl }: DashboardDomains, value: string, maxAgeSeconds: number): string {
  const secure = publicUrl().startsWith('https:') ? '; Secure' : '';
  return `${COOKIE}=${value}; Path=${PATH}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}

const SEE_OTHER = 303;
const onward = (setCookie: string): RawAnswer => ({
  status: SEE_OTHER,
  headers: { location: PATH, 'set-cookie': setCookie },
});

const WORDS: Record<string, string> = {
  'Invalid admin key': 'That is not the admin key.',
  'Rate limit exceeded': 'Too many attempts. Wait a minute, then try again.',
};

const refusedForm = ({ dashboard }: DashboardDomains, { code, message }: AppError): Answer =>
  refused(STATUS[code], dashboard.signIn(WORDS[message] ?? message));

const refused = (status: number, page: Answer): Answer => ({
  ...page,
  status,
  headers: { ...page.headers, ...(status === STATUS.unauthenticated && { 'www-authenticate': 'Bearer' }) },
});
