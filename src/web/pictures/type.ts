import { fileURLToPath } from 'node:url';
import { openSync, type Font } from 'fontkit';
import { escapeHtml } from '../html.ts';

/** Text on pictures: what can be drawn of it, how wide it is, where its lines end. */

export const FAMILY = 'Inter';
const FILES = {
  400: fileURLToPath(import.meta.resolve('@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf')),
  600: fileURLToPath(import.meta.resolve('@expo-google-fonts/inter/600SemiBold/Inter_600SemiBold.ttf')),
} as const;
export const FONT_FILES: readonly string[] = Object.values(FILES);
export type Weight = keyof typeof FILES;
export const fileOf = (weight: Weight): string => FILES[weight];

const opened = new Map<Weight, Font>();

function fontOf(weight: Weight): Font {
  const known = opened.get(weight);
  if (known) return known;
  const font = openSync(FILES[weight]);
  if ('fonts' in font) throw new Error('the font of pictures is a collection');
  opened.set(weight, font);
  return font;
}

/** What no eye sees, and what turns the direction of others around. */
const UNSEEN = /[\p{C}\u2028\u2029]/gu;
const PICTURES = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u20e3\ufe0f]/gu;
/** Of a text; no more of it would fit. */
const MAX_DRAWN = 400;
const LETTER = /[\p{L}\p{N}]/u;

/**
 * What the font can draw of a text. Marks that it lacks are left out; of a text with letters that it lacks nothing is
 * shown, rather than boxes: undefined.
 */
export function drawable(text: string): string | undefined {
  const font = fontOf(600);
  const seen = text.slice(0, MAX_DRAWN).replaceAll(/\s+/g, ' ').replaceAll(UNSEEN, '').normalize('NFC');
  const characters = [...seen.replaceAll(PICTURES, '')];
  const isDrawn = (character: string) => font.hasGlyphForCodePoint(character.codePointAt(0) ?? 0);
  if (characters.some((character) => LETTER.test(character) && !isDrawn(character))) return undefined;
  const drawn = characters.filter(isDrawn).join('').replaceAll(/ +/g, ' ').trim();
  return LETTER.test(drawn) ? drawn : undefined;
}

/** How wide a line of text is. Kerning would make it a little narrower. */
export function widthOf(text: string, size: number, weight: Weight): number {
  const font = fontOf(weight);
  const units = [...text].reduce(
    (sum, character) => sum + font.glyphForCodePoint(character.codePointAt(0) ?? 0).advanceWidth,
    0,
  );
  return (units / font.unitsPerEm) * size;
}

export type Setting = { width: number; size: number; weight: Weight; lines: number };

/** A text in lines of a width: broken between words, inside what is longer than a line, and cut where lines run out. */
export function linesOf(text: string, { width, size, weight, lines }: Setting): { lines: string[]; cut: boolean } {
  const fits = (line: string) => widthOf(line, size, weight) <= width;
  const broken: string[] = [];
  let line = '';
  for (const piece of piecesOf(text, fits)) {
    if (line === '' || fits(line + piece.trimEnd())) line += piece;
    else {
      broken.push(line.trimEnd());
      line = piece;
    }
  }
  if (line.trim() !== '') broken.push(line.trimEnd());
  const shown = broken.slice(0, lines);
  const last = shown.at(-1);
  if (broken.length <= lines || last === undefined) return { lines: shown, cut: false };
  return { lines: [...shown.slice(0, -1), ellipsis(last, fits)], cut: true };
}

type Fit = Omit<Setting, 'size' | 'lines'> & { lines: (size: number) => number };

/** The largest size of these at which the whole text fits, or the smallest with the text cut. */
export function fitted(text: string, sizes: readonly number[], setting: Fit): { size: number; lines: string[] } {
  const smallest = Math.min(...sizes);
  for (const size of sizes) {
    const { lines, cut } = linesOf(text, { ...setting, size, lines: setting.lines(size) });
    if (!cut || size === smallest) return { size, lines };
  }
  return { size: smallest, lines: [] };
}

/** Words with the space behind them; of one that fits in no line, its characters. */
function piecesOf(text: string, fits: (line: string) => boolean): string[] {
  const words = text.match(/[^ -]*-+|[^ -]+ ?| /g) ?? [];
  return words.flatMap((word) => (fits(word.trimEnd()) ? [word] : [...word]));
}

function ellipsis(line: string, fits: (line: string) => boolean): string {
  const characters = [...line];
  while (characters.length > 0 && !fits(`${characters.join('')}…`)) characters.pop();
  return `${characters.join('').trimEnd()}…`;
}

type Place = { x: number; y: number; size: number; weight?: Weight; fill: string; anchor?: 'start' | 'middle' | 'end' };

/** One line of text. */
export const textAt = (text: string, { x, y, size, weight = 400, fill, anchor = 'start' }: Place): string =>
  `<text x="${x}" y="${y}" font-family="${FAMILY}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
