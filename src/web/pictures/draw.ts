import { renderAsync } from '@resvg/resvg-js';
import type { Answer } from '../../apis/contract.ts';
import { cacheable, tagOf } from '../cacheable.ts';
import { FAMILY, FONT_FILES } from './type.ts';

/** Pictures that are kept; each is some fifty kilobytes. */
const MAX_KEPT = 100;
const KEEP_SECONDS = 300;

export type Draw = (svg: string) => Promise<Answer>;

/**
 * What turns pictures into PNGs, off this thread and once for each. Nothing but the bundled font is in them, so they
 * look alike on every host, and their tag is that of what they are drawn from.
 */
export function createDraw(): Draw {
  const kept = new Map<string, Promise<Buffer>>();
  return async (svg) => {
    const tag = tagOf(svg);
    const png = kept.get(tag) ?? toPng(svg);
    kept.delete(tag);
    kept.set(tag, png);
    for (const [oldest] of kept) {
      if (kept.size <= MAX_KEPT) break;
      kept.delete(oldest);
    }
    png.catch(() => kept.delete(tag)); // what failed is tried again; who asked hears of it below
    const headers = { 'content-type': 'image/png', 'x-content-type-options': 'nosniff' };
    return cacheable({ status: 200, body: await png, headers }, KEEP_SECONDS, tag);
  };
}

async function toPng(svg: string): Promise<Buffer> {
  const font = { fontFiles: [...FONT_FILES], loadSystemFonts: false, defaultFontFamily: FAMILY };
  return (await renderAsync(svg, { font })).asPng();
}
