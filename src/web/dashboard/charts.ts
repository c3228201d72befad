import { html, type Html } from '../html.ts';
import { dayShown } from './format.ts';

/** Pictures of figures as SVG, coloured by the style sheet. What they say stands beside them in words as well. */

export type Bar = { day: string; value: number; label: string };

const BAR_WIDTH = 10;
const GAP = 2.4;
const HEIGHT = 100;
/** What is little is still seen. */
const LEAST_HEIGHT = 1.5;

type DayChart = {
  title: string;
  bars: readonly Bar[];
  /** The largest value, in words. */
  peak: string;
  /** What is said where there is nothing to show. */
  empty: string;
};

/** One bar for each day, the last one in another tone: it is not over yet. */
export function dayChart({ title, bars, peak, empty }: DayChart): Html {
  const most = Math.max(...bars.map(({ value }) => value), 0);
  const [first, middle, last] = [bars[0], bars[Math.floor(bars.length / 2)], bars.at(-1)];
  return html`<div class="chart ${most === 0 && 'blank'}">
    <p class="peak">${most === 0 ? empty : peak}</p>
    <svg
      viewBox="0 0 ${bars.length * BAR_WIDTH} ${HEIGHT}"
      preserveAspectRatio="none"
      role="img"
      aria-label="${title}, by day"
    >
      ${bars.map((bar, index) => barOf(bar, index, most, bar === last))}
    </svg>
    <p class="days" aria-hidden="true">
      ${[first, middle].map((bar) => bar && html`<span>${dayShown(bar.day)}</span>`)}<span>today</span>
    </p>
  </div>`;
}

/** The invisible one behind it is as high as the chart, so that a low bar can be pointed at. */
function barOf({ day, value, label }: Bar, index: number, most: number, isToday: boolean): Html {
  const height = most === 0 || value === 0 ? 0 : Math.max(LEAST_HEIGHT, (value / most) * HEIGHT);
  const x = index * BAR_WIDTH;
  return html`<g class="${isToday ? 'today' : 'day'}">
    <title>${dayShown(day)}: ${label}</title>
    <rect class="behind" x="${x}" y="0" width="${BAR_WIDTH}" height="${HEIGHT}" />
    <rect
      x="${(x + GAP / 2).toFixed(1)}"
      y="${(HEIGHT - height).toFixed(2)}"
      width="${(BAR_WIDTH - GAP).toFixed(1)}"
      height="${height.toFixed(2)}"
    />
  </g>`;
}

export type Part = { name: string; label: string; value: number };

const WHOLE = 1_000;

/** Parts of a whole beside one another; nothing has no picture. */
export function wholeBar(title: string, parts: readonly Part[]): Html {
  const whole = parts.reduce((sum, { value }) => sum + value, 0);
  let x = 0;
  const pieces = parts.map(({ name, label, value }) => {
    const width = whole === 0 ? 0 : (value / whole) * WHOLE;
    const piece = html`<rect class="${name}" x="${x.toFixed(2)}" y="0" width="${width.toFixed(2)}" height="10">
      <title>${label}</title>
    </rect>`;
    x += width;
    return piece;
  });
  return html`<svg class="whole" viewBox="0 0 ${WHOLE} 10" preserveAspectRatio="none" role="img" aria-label="${title}">
    <rect class="track" x="0" y="0" width="${WHOLE}" height="10" />
    ${pieces}
  </svg>`;
}

/** One value as a part of the most there is. */
export const meter = (name: string, value: number, most: number): Html =>
  html`<svg class="meter" viewBox="0 0 ${WHOLE} 6" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" x="0" y="0" width="${WHOLE}" height="6" />
    <rect class="${name}" x="0" y="0" width="${(most === 0 ? 0 : (value / most) * WHOLE).toFixed(2)}" height="6" />
  </svg>`;

const SEAT = 10;
const SEATS_IN_A_ROW = 25;

/** One square for each seat, those that are taken filled. */
export function seatPlan(title: string, taken: number, seats: number): Html {
  const rows = Math.ceil(seats / SEATS_IN_A_ROW);
  const squares = Array.from({ length: seats }, (_, seat) => {
    const [x, y] = [(seat % SEATS_IN_A_ROW) * SEAT, Math.floor(seat / SEATS_IN_A_ROW) * SEAT];
    return html`<rect
      class="${seat < taken ? 'taken' : 'free'}"
      x="${x + 1}"
      y="${y + 1}"
      width="${SEAT - 2}"
      height="${SEAT - 2}"
      rx="2"
    />`;
  });
  return html`<svg class="seats" viewBox="0 0 ${SEATS_IN_A_ROW * SEAT} ${rows * SEAT}" role="img" aria-label="${title}">
    ${squares}
  </svg>`;
}
