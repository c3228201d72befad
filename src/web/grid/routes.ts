import { z } from 'zod';
import { route, type Answer, type Route } from '../../apis/contract.ts';
import type { Portraits } from '../../domains/grid/index.ts';
import { isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { revalidated } from '../cacheable.ts';
import { html } from '../html.ts';
import { missingPage } from '../missing.ts';
import type { Draw } from '../pictures/draw.ts';
import { genesisPicture, nodePicture, skillPicture } from '../pictures/grid.ts';
import { genesisPage } from './genesis-page.ts';
import { nodePage } from './node-page.ts';
import { skillPage } from './skill-page.ts';

const TAG = 'Pages';
const PAGE_LIMIT = { name: 'web-pages', max: 300, windowMs: MINUTE };
/** Each is drawn, unless it was before. */
const PICTURE_LIMIT = { name: 'web-pictures', max: 60, windowMs: MINUTE };

const Page = { schema: z.string(), contentType: 'text/html' };
const PAGE_THERE = { 200: { description: 'The page', ...Page } };
const PAGE_MISSING = { 404: { description: 'There is none', ...Page } };
const Png = { description: 'The picture, 1200 by 630', schema: z.string(), contentType: 'image/png' };
const NodeParams = z.object({ node_id: z.string() });
const SkillParams = z.object({ skill_id: z.string() });

export type GridPages = { portraits: Portraits; draw: Draw; publicUrl: () => string; version: string };

/** The pages of the grid, each with the picture that previews of it show. */
export const gridPageRoutes = (pages: GridPages): Route[] => [
  ...nodeRoutes(pages),
  ...skillRoutes(pages),
  ...genesisRoutes(pages),
];

const nodeRoutes = ({ portraits, draw, publicUrl, version }: GridPages): Route[] => [
  page('/nodes/:node_id', 'getNodePage', 'A node', NodeParams, (op, { node_id: id }) =>
    orMissing(
      async () => nodePage(await portraits.node(op, id), publicUrl(), version),
      () => missingPage('No such node', html`The founders are on <a href="/genesis">a page of their own</a>.`, version),
    ),
  ),
  picture(
    '/nodes/:node_id/preview.png',
    'getNodePicture',
    'A node’s picture',
    NodeParams,
    async (op, { node_id: id }) => draw(nodePicture(await portraits.node(op, id), hostOf(publicUrl()))),
  ),
];

const skillRoutes = ({ portraits, draw, publicUrl, version }: GridPages): Route[] => [
  page('/skills/:skill_id', 'getSkillPage', 'A skill', SkillParams, (op, { skill_id: id }) =>
    orMissing(
      async () => skillPage(await portraits.skill(op, id), publicUrl(), version),
      () => missingPage('No such skill', html`What is on offer, agents find at <code>/v1/marketplace</code>.`, version),
    ),
  ),
  picture(
    '/skills/:skill_id/preview.png',
    'getSkillPicture',
    'A skill’s picture',
    SkillParams,
    async (op, { skill_id: id }) => draw(skillPicture(await portraits.skill(op, id), hostOf(publicUrl()))),
  ),
];

const genesisRoutes = ({ portraits, draw, publicUrl, version }: GridPages): Route[] => [
  page('/genesis', 'getGenesisPage', 'The founders', undefined, async () =>
    genesisPage(await portraits.founders(), publicUrl(), version),
  ),
  picture('/genesis/preview.png', 'getGenesisPicture', 'The founders’ picture', undefined, async () =>
    draw(genesisPicture(await portraits.founders(), hostOf(publicUrl()))),
  ),
];

/** What a route of a page and that of its picture both say. */
type Shown<P extends z.ZodType> = [
  path: string,
  operationId: string,
  summary: string,
  params: P | undefined,
  show: (op: Op, params: z.output<P>) => Promise<Answer>,
];

const page = <P extends z.ZodType>(...[path, operationId, summary, params, show]: Shown<P>): Route =>
  looked([path, operationId, summary, params, async (op, input) => revalidated(await show(op, input))], {
    addressLimit: PAGE_LIMIT,
    replies: params ? { ...PAGE_THERE, ...PAGE_MISSING } : PAGE_THERE,
  });

const picture = <P extends z.ZodType>(...shown: Shown<P>): Route =>
  looked(shown, {
    addressLimit: PICTURE_LIMIT,
    replies: { 200: Png },
    ...(shown[3] && { fails: ['not_found'] }),
  });

const looked = <P extends z.ZodType>(
  [path, operationId, summary, params, show]: Shown<P>,
  rest: Pick<Route, 'addressLimit' | 'replies' | 'fails'>,
): Route =>
  route({
    method: 'GET',
    path,
    operationId,
    tag: TAG,
    summary,
    access: 'public',
    ...(params && { params }),
    ...rest,
    handle: (op, input) => show(op, input.params),
  });

async function orMissing(show: () => Promise<Answer>, missing: () => Answer): Promise<Answer> {
  try {
    return await show();
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    return missing();
  }
}

const hostOf = (url: string): string => new URL(url).host;
