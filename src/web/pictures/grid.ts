import {
  disputeRateOf,
  GENESIS_SEATS,
  partnersOf,
  presenceOf,
  saidOf,
  shortDecimals,
  type Founder,
  type NodePortrait,
  type Presence,
  type SkillPortrait,
} from '../../domains/grid/index.ts';
import { longDate, rankText } from '../grid/parts.ts';
import {
  COLOR,
  dashes,
  figureParts,
  LEFT,
  oneLine,
  RIGHT,
  sheet,
  slip,
  SLIP_LEFT,
  SLIP_MIDDLE,
  SLIP_RIGHT,
  SLIP_TOP,
  slipRow,
  titleParts,
} from './sheet.ts';
import { drawable, fitted, textAt } from './type.ts';

/** The pictures of the grid's pages, as SVG. */

const PRESENCE: Record<Presence, string | undefined> = {
  active: undefined,
  banned: 'Banned',
  sandbox: 'Sandbox node',
  ended: 'Sandbox node, ended',
};

export function nodePicture({ node, level, cri, standing, skills }: NodePortrait, host: string): string {
  const presence = PRESENCE[presenceOf(node)];
  return sheet(host, [
    ...titleParts(presence ?? rankText(node.genesis, level), node.id, node.id),
    ...figureParts([
      [String(standing.sold), standing.sold === 1 ? 'sale' : 'sales'],
      [String(partnersOf(standing)), 'partners'],
      [String(skills.length), skills.length === 1 ? 'skill' : 'skills'],
      [String(node.strikes), node.strikes === 1 ? 'strike' : 'strikes'],
    ]),
    slip(node.active ? COLOR.green : COLOR.clay),
    textAt('Reputation index', { x: SLIP_MIDDLE, y: SLIP_TOP + 58, size: 24, fill: COLOR.muted, anchor: 'middle' }),
    ring(cri.score, node.active),
    textAt(`since ${longDate(node.createdAt)}`, {
      x: SLIP_MIDDLE,
      y: SLIP_TOP + 358,
      size: 22,
      fill: COLOR.muted,
      anchor: 'middle',
    }),
  ]);
}

const RADIUS = 104;

function ring(score: number, isActive: boolean): string {
  const round = 2 * Math.PI * RADIUS;
  const y = SLIP_TOP + 202;
  const circle = `cx="${SLIP_MIDDLE}" cy="${y}" r="${RADIUS}" fill="none" stroke-width="16"`;
  const arc = `stroke-linecap="round" transform="rotate(-90 ${SLIP_MIDDLE} ${y})" stroke-dasharray="${((score / 100) * round).toFixed(1)} ${round.toFixed(1)}"`;
  return [
    `<circle ${circle} stroke="${isActive ? COLOR.line : COLOR.clay}"/>`,
    score > 0 ? `<circle ${circle} stroke="${COLOR.green}" ${arc}/>` : '',
    textAt(score.toFixed(1), { x: SLIP_MIDDLE, y: y + 23, size: 66, weight: 600, fill: COLOR.ink, anchor: 'middle' }),
  ].join('');
}

const PRICE_SIZES = [84, 72, 60, 50];

export function skillPicture({ skill, seller, record }: SkillPortrait, host: string): string {
  const { node, cri } = seller;
  const presence = PRESENCE[presenceOf(node)];
  const price = fitted(shortDecimals(skill.price), PRICE_SIZES, {
    width: SLIP_RIGHT - SLIP_LEFT,
    weight: 600,
    lines: () => 1,
  });
  const { category } = saidOf(skill);
  return sheet(host, [
    ...titleParts(presence ?? drawable(category) ?? 'Skill', skill.label, 'A skill on the grid'),
    textAt('by', { x: LEFT, y: 530, size: 24, fill: COLOR.muted }),
    textAt(oneLine(node.id, { width: 600, size: 34, weight: 600 }), {
      x: LEFT,
      y: 570,
      size: 34,
      weight: 600,
      fill: COLOR.ink,
    }),
    slip(node.active ? COLOR.green : COLOR.clay),
    textAt('Price in TCK', { x: SLIP_LEFT, y: SLIP_TOP + 58, size: 24, fill: COLOR.muted }),
    textAt(price.lines[0] ?? '', {
      x: SLIP_LEFT,
      y: SLIP_TOP + 146,
      size: price.size,
      weight: 600,
      fill: node.active ? COLOR.green : COLOR.clay,
    }),
    dashes(SLIP_TOP + 184),
    ...slipRow('Delivered', String(record.delivered), SLIP_TOP + 236),
    ...slipRow('Disputed', `${disputeRateOf(record)} %`, SLIP_TOP + 284),
    dashes(SLIP_TOP + 312),
    ...slipRow('Seller’s index', cri.score.toFixed(1), SLIP_TOP + 358),
  ]);
}

const IN_A_ROW = 25;
const SEAT = { width: 36, height: 22 } as const;
const STEP = (RIGHT - LEFT - SEAT.width) / (IN_A_ROW - 1);
const MAP_TOP = 350;
const ROW_STEP = 30;

export function genesisPicture(founders: readonly Founder[], host: string): string {
  const taken = new Set(founders.map(({ rank }) => rank));
  const seats = Array.from({ length: GENESIS_SEATS }, (_, index) => {
    const x = LEFT + (index % IN_A_ROW) * STEP;
    const y = MAP_TOP + Math.floor(index / IN_A_ROW) * ROW_STEP;
    const paint = taken.has(index + 1)
      ? `fill="${COLOR.green}"`
      : `fill="${COLOR.surface}" stroke="${COLOR.line}" stroke-width="2"`;
    return `<rect x="${x.toFixed(1)}" y="${y}" width="${SEAT.width}" height="${SEAT.height}" rx="5" ${paint}/>`;
  });
  return sheet(host, [
    textAt('Genesis programme', { x: LEFT, y: 190, size: 28, weight: 600, fill: COLOR.clay }),
    textAt(`The first ${GENESIS_SEATS}`, { x: LEFT, y: 290, size: 92, weight: 600, fill: COLOR.ink }),
    textAt(String(founders.length), { x: RIGHT, y: 262, size: 92, weight: 600, fill: COLOR.green, anchor: 'end' }),
    textAt(founders.length === 1 ? 'seat is taken' : 'seats are taken', {
      x: RIGHT,
      y: 304,
      size: 26,
      fill: COLOR.muted,
      anchor: 'end',
    }),
    ...seats,
  ]);
}
