import type { ReportedSample } from './report.ts';

/** Pictures of a report as SVG, in the colours of its page. */
const WIDTH = 640;
const HEIGHT = 200;
const LEFT = 84;
const BOTTOM = 24;
const TOP = 12;
const WIDEST_COLUMN = 56;
const GAP = 0.2;
const RADIUS = 70;
const RING = 26;
const CIRCUMFERENCE = 2 * Math.PI * RADIUS;
const LINES = 4;

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

export type Slice = { name: string; count: number };

/** A ring of parts, with the share of the first in its middle. */
export function ring(slices: Slice[], label: string): string {
  const total = slices.reduce((sum, { count }) => sum + count, 0);
  let turned = 0;
  const arcs = slices.map(({ name, count }) => {
    const length = total === 0 ? 0 : (CIRCUMFERENCE * count) / total;
    const arc = `<circle class="${name}" r="${RADIUS}" cx="100" cy="100" fill="none" stroke-width="${RING}" stroke-dasharray="${figure(length)} ${figure(CIRCUMFERENCE)}" stroke-dashoffset="${figure(-turned)}" transform="rotate(-90 100 100)"><title>${count} ${name}</title></circle>`;
    turned += length;
    return count === 0 ? '' : arc;
  });
  return `<svg viewBox="0 0 200 200" role="img" aria-label="${escaped(label)}"><circle class="empty" r="${RADIUS}" cx="100" cy="100" fill="none" stroke-width="${RING}"/>${arcs.join('')}<text class="middle" x="100" y="100" text-anchor="middle" dominant-baseline="central">${escaped(label)}</text></svg>`;
}

/** One column for each sample, the largest first, in the colour of its outcome. */
export function columns(
  samples: readonly ReportedSample[],
  of: (sample: ReportedSample) => number,
  say: (value: number) => string,
  label: string,
): string {
  const sorted = samples.toSorted((a, b) => of(b) - of(a));
  const most = niceAbove(Math.max(0, ...sorted.map(of)));
  const room = HEIGHT - TOP - BOTTOM;
  const step = Math.min(WIDEST_COLUMN, (WIDTH - LEFT) / Math.max(1, sorted.length));
  const bars = sorted.map((sample, at) => {
    const height = most === 0 ? 0 : (room * of(sample)) / most;
    const title = `${sample.sample_id}: ${say(of(sample))}, ${sample.outcome}`;
    return `<rect class="${sample.outcome}" x="${figure(LEFT + at * step)}" y="${figure(TOP + room - height)}" width="${figure(step * (1 - GAP))}" height="${figure(height)}"><title>${escaped(title)}</title></rect>`;
  });
  const grid = Array.from({ length: LINES + 1 }, (_, line) => {
    const y = figure(TOP + (room * line) / LINES);
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${y}" y2="${y}"/><text class="axis" x="${LEFT - 8}" y="${y}" text-anchor="end" dominant-baseline="central">${escaped(say((most * (LINES - line)) / LINES))}</text>`;
  });
  const below = `<text class="axis" x="${LEFT}" y="${HEIGHT - 6}">samples, the largest first</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(label)}">${grid.join('')}${bars.join('')}${below}</svg>`;
}

/** The next of 1, 2, 4, 5, 8 and 10 times a power of ten. */
function niceAbove(value: number): number {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 5, 8].find((step) => step * power >= value) ?? 10);
}

const figure = (value: number): string => String(Math.round(value * 100) / 100);
