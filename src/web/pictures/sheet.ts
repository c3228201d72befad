import { PICTURE_HEIGHT, PICTURE_WIDTH } from '../page.ts';
import { drawable, linesOf, fitted, textAt, widthOf, type Setting } from './type.ts';

/** The sheet of paper that every picture is drawn on, and what several of them have on it. */

/** The colours of the pages in the light. */
export const COLOR = {
  paper: '#f5f2ea',
  surface: '#fffdf8',
  ink: '#1a1f1c',
  muted: '#59625c',
  line: '#d8d2c3',
  green: '#17603f',
  clay: '#a4441f',
} as const;

export const LEFT = 72;
export const RIGHT = PICTURE_WIDTH - 72;
const SLIP = { x: 804, y: 150, width: 324, height: 404 } as const;
/** What is beside the slip. */
const TEXT_WIDTH = SLIP.x - LEFT - 64;
const TITLE_SIZES = [84, 76, 68, 60, 52, 46, 40, 34];
const TITLE_HEIGHT = 258;
const LINE_HEIGHT = 1.1;
const KIND_SIZE = 28;
const FIGURE_GAP = 56;

const HEAD = `<rect width="${PICTURE_WIDTH}" height="${PICTURE_HEIGHT}" fill="${COLOR.paper}"/>
<rect width="${PICTURE_WIDTH}" height="10" fill="${COLOR.green}"/>
<g transform="translate(${LEFT} 58) scale(1.5)"><rect width="32" height="32" rx="7" fill="${COLOR.green}"/><path d="M10 25V8h13M10 16h10" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="square"/></g>`;

/** A whole picture, with whose server it is about in its upper corner. */
export const sheet = (host: string, parts: string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${PICTURE_WIDTH}" height="${PICTURE_HEIGHT}" viewBox="0 0 ${PICTURE_WIDTH} ${PICTURE_HEIGHT}">`,
    HEAD,
    textAt('Freehold', { x: LEFT + 66, y: 93, size: 32, weight: 600, fill: COLOR.ink }),
    textAt(oneLine(host, { width: 560, size: 26, weight: 400 }), {
      x: RIGHT,
      y: 92,
      size: 26,
      fill: COLOR.muted,
      anchor: 'end',
    }),
    ...parts,
    '</svg>',
  ].join('\n');

export const oneLine = (text: string, setting: Omit<Setting, 'lines'>): string =>
  linesOf(text, { ...setting, lines: 1 }).lines[0] ?? '';

/** What it is, and its name as large as it goes. What cannot be drawn is called by `otherwise`. */
export function titleParts(kind: string, title: string, otherwise: string): string[] {
  const kindShown = oneLine(kind, { width: TEXT_WIDTH, size: KIND_SIZE, weight: 600 });
  const { size, lines } = fitted(drawable(title) ?? otherwise, TITLE_SIZES, {
    width: TEXT_WIDTH,
    weight: 600,
    lines: (given) => Math.floor(TITLE_HEIGHT / (given * LINE_HEIGHT)),
  });
  return [
    textAt(kindShown, { x: LEFT, y: 190, size: KIND_SIZE, weight: 600, fill: COLOR.clay }),
    ...lines.map((line, index) =>
      textAt(line, { x: LEFT, y: 222 + size * (0.8 + index * LINE_HEIGHT), size, weight: 600, fill: COLOR.ink }),
    ),
  ];
}

/** Figures in a row along the lower edge. */
export function figureParts(figures: readonly (readonly [value: string, name: string])[]): string[] {
  let x = LEFT;
  return figures.flatMap(([value, name]) => {
    const at = x;
    x += Math.max(widthOf(value, 46, 600), widthOf(name, 24, 400)) + FIGURE_GAP;
    return [
      textAt(value, { x: at, y: 530, size: 46, weight: 600, fill: COLOR.ink }),
      textAt(name, { x: at, y: 566, size: 24, fill: COLOR.muted }),
    ];
  });
}

const TOOTH = 12;

/** A slip of paper that is torn off along its lower edge. */
export function slip(accent: string = COLOR.green): string {
  const { x, y, width, height } = SLIP;
  const teeth = Array.from(
    { length: width / TOOTH },
    (_, index) => `L${x + width - (index + 1) * TOOTH} ${y + height - (index % 2 === 0 ? TOOTH : 0)}`,
  );
  const outline = `M${x} ${y}H${x + width}V${y + height}${teeth.join('')}Z`;
  return (
    `<path d="${outline}" transform="translate(0 8)" fill="${COLOR.ink}" opacity="0.07"/>` +
    `<path d="${outline}" fill="${COLOR.surface}"/><rect x="${x}" y="${y}" width="${width}" height="6" fill="${accent}"/>`
  );
}

export const SLIP_LEFT = SLIP.x + 32;
export const SLIP_RIGHT = SLIP.x + SLIP.width - 32;
export const SLIP_MIDDLE = SLIP.x + SLIP.width / 2;
export const SLIP_TOP = SLIP.y;

/** A line of the slip: what it is, and how much. */
export const slipRow = (name: string, value: string, y: number): string[] => [
  textAt(name, { x: SLIP_LEFT, y, size: 24, fill: COLOR.muted }),
  textAt(value, { x: SLIP_RIGHT, y, size: 24, weight: 600, fill: COLOR.ink, anchor: 'end' }),
];

export const dashes = (y: number): string =>
  `<path d="M${SLIP_LEFT} ${y}H${SLIP_RIGHT}" stroke="${COLOR.line}" stroke-width="2" stroke-dasharray="6 6"/>`;
