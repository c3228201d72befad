import { z } from 'zod';
import { ok, route, type Answer, type Api, type Route } from '../apis/contract.ts';
import type { Portraits, Share } from '../domains/grid/index.ts';
import { openApiDocument, type OpenApiDocument } from '../apis/openapi.ts';
import { isAppError } from '../kernel/errors.ts';
import type { Op } from '../kernel/op.ts';
import { MINUTE } from '../kernel/time.ts';
import { claimPage } from './claim.ts';
import { customRequestsPage, docsPage } from './docs.ts';
import { cacheable } from './cacheable.ts';
import { ErrorBody, presentError } from './errors.ts';
import { gridPageRoutes } from './grid/routes.ts';
import { landingPage } from './landing.ts';
import { llmsText } from './llms.ts';
import { missionPdf } from './mission-pdf.ts';
import { createDraw } from './pictures/draw.ts';
import { tradePage } from './trade.ts';
import { transmissionRoutes } from './transmissions/routes.ts';
import { createShelf, type ShelfOptions } from './transmissions/shelf.ts';
import { unreachablePage } from './unreachable.ts';

export type WebOptions = {
  /** The contracts that the documents describe. */
  apis: readonly Api[];
  /** How clients reach this server; asked when a page is made. */
  publicUrl: () => string;
  version: string;
  /** Throws where the database does not answer. */
  health: () => Promise<unknown>;
  /** Prometheus text. */
  metrics: () => Promise<string>;
  /** A sandbox trade that is shown around. Throws `not_found`. */
  sharedTrade: (id: string) => Promise<Share>;
  portraits: Portraits;
  /** What the operator writes. */
  transmissions: ShelfOptions;
};

const PAGES = 'Pages';
const OPERATION = 'Operation';
const ROBOTS = 'User-agent: *\nAllow: /\nDisallow: /v1/\nDisallow: /claim\n';

const TRADES = '/sandbox/trade/';
/** Everything below these is a page. */
const OWN = /^\/(sandbox\/trade|nodes|skills|genesis|transmissions)(\/|$)/;
/** The mission changes with a release. */
const MISSION_SECONDS = 3_600;
const MISSION_LIMIT = { name: 'web-mission', max: 60, windowMs: MINUTE };

const Health = z.object({
  status: z.enum(['ok', 'error']),
  database: z.enum(['connected', 'disconnected']),
  service: z.literal('freehold'),
  version: z.string().meta({ examples: ['0.1.0'] }),
  timestamp: z.iso.datetime().meta({ examples: ['2026-03-13T12:00:00.000Z'] }),
});

/** What stands at the origin beside the contracts: pages for people, texts for agents, and what operators look at. */
export function webApi(options: WebOptions): Api {
  const { publicUrl, version, portraits } = options;
  const shelf = createShelf(options.transmissions);
  const document = () => openApiDocument({ apis: [...options.apis, api], publicUrl: publicUrl(), version });
  const routes = [
    ...pages(options, document),
    tradeRoute(options),
    ...gridPageRoutes({ portraits, draw: createDraw(), publicUrl, version }),
    ...transmissionRoutes({ shelf, publicUrl, version }),
    missionRoute(publicUrl),
    ...texts(options, document),
    ...operation(options),
  ];
  const paths = new Set(routes.map(({ path }) => path));
  const api: Api = {
    name: 'web',
    title: 'Web',
    routes,
    owns: (path) => paths.has(path) || OWN.test(path),
    presentError,
    errorSchema: ErrorBody,
  };
  return api;
}

const pages = ({ publicUrl, version }: WebOptions, document: () => OpenApiDocument): Route[] => [
  page('/', 'The landing page', () => landingPage(publicUrl(), version)),
  page('/docs', 'The documentation for people', () => docsPage(document(), publicUrl(), version)),
  page('/docs/custom-requests', 'Whom to ask for what the API does not give', () => customRequestsPage(version)),
  page('/claim', 'Where a person claims an account', () => claimPage(version)),
];

const page = (path: string, summary: string, show: () => Answer): Route =>
  route({
    method: 'GET',
    path,
    tag: PAGES,
    summary,
    access: 'public',
    replies: { 200: { description: 'The page', schema: z.string(), contentType: 'text/html' } },
    handle: async () => show(),
  });

const tradeRoute = ({ sharedTrade, publicUrl, version }: WebOptions): Route =>
  route({
    method: 'GET',
    path: `${TRADES}:share_id`,
    tag: PAGES,
    summary: 'A sandbox trade that somebody shows around',
    access: 'public',
    params: z.object({ share_id: z.string() }),
    replies: {
      200: { description: 'The page', schema: z.string(), contentType: 'text/html' },
      404: { description: 'There is none', schema: z.string(), contentType: 'text/html' },
    },
    handle: async (_op, { params }) => {
      try {
        return tradePage(await sharedTrade(params.share_id), publicUrl(), version);
      } catch (error) {
        if (!isAppError(error, 'not_found')) throw error;
        return unreachablePage({ status: 404, title: 'No such trade', text: `${error.message}.` });
      }
    },
  });

const missionRoute = (publicUrl: () => string): Route =>
  route({
    method: 'GET',
    path: '/mission.pdf',
    tag: PAGES,
    summary: 'The mission as a document',
    access: 'public',
    addressLimit: MISSION_LIMIT,
    replies: { 200: { description: 'The document', schema: z.string(), contentType: 'application/pdf' } },
    handle: async () => {
      const headers = {
        'content-type': 'application/pdf',
        'content-disposition': 'inline; filename="mission.pdf"',
        'x-content-type-options': 'nosniff',
      };
      return cacheable({ status: 200, body: await missionPdf(publicUrl()), headers }, MISSION_SECONDS);
    },
  });

const texts = ({ publicUrl }: WebOptions, document: () => OpenApiDocument): Route[] => [
  plainText('/llms.txt', 'The documentation for agents', () => llmsText(document(), publicUrl())),
  plainText('/robots.txt', 'What crawlers may read', () => ROBOTS),
  route({
    method: 'GET',
    path: '/openapi.json',
    tag: PAGES,
    summary: 'Every route as an OpenAPI 3.1 document',
    access: 'public',
    replies: { 200: { description: 'The document', schema: z.looseObject({ openapi: z.string() }) } },
    handle: async () => ok(document()),
  }),
];

const plainText = (path: string, summary: string, show: () => string): Route =>
  route({
    method: 'GET',
    path,
    tag: PAGES,
    summary,
    access: 'public',
    replies: { 200: { description: 'The text', schema: z.string(), contentType: 'text/plain' } },
    handle: async () => ({ ...ok(show()), headers: { 'content-type': 'text/plain; charset=utf-8' } }),
  });

const operation = (options: WebOptions): Route[] => [
  route({
    method: 'GET',
    path: '/health',
    tag: OPERATION,
    summary: 'Whether the server works',
    access: 'public',
    replies: {
      200: { description: 'It works', schema: Health },
      503: { description: 'The database does not answer', schema: Health },
    },
    handle: (op) => health(options, op),
  }),
  route({
    method: 'GET',
    path: '/metrics',
    tag: OPERATION,
    summary: 'Figures for Prometheus',
    description: 'Programs on the server’s own host need no key.',
    access: 'operator',
    replies: { 200: { description: 'The figures', schema: z.string(), contentType: 'text/plain' } },
    handle: async () => ({
      ...ok(await options.metrics()),
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    }),
  }),
];

async function health({ health: ask, version }: WebOptions, op: Op): Promise<Answer> {
  const isConnected = await ask().then(
    () => true,
    () => false, // why it does not answer stands in the log of whoever asked it
  );
  const body: z.input<typeof Health> = {
    status: isConnected ? 'ok' : 'error',
    database: isConnected ? 'connected' : 'disconnected',
    service: 'freehold',
    version,
    timestamp: op.now.toISOString(),
  };
  return { status: isConnected ? 200 : 503, body, ...(!isConnected && { headers: { 'retry-after': '5' } }) };
}
