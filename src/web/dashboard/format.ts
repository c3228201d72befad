import { shortDecimals } from '../../domains/grid/index.ts';
import { DAY, elapsedMs, HOUR, MINUTE } from '../../kernel/time.ts';
import { html, type Html } from '../html.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** With a comma between thousands. */
export const grouped = (value: string | number): string => {
  const [whole = '', ...decimals] = String(value).split('.');
  return [whole.replaceAll(/\B(?=(\d{3})+$)/g, ','), ...decimals].join('.');
};

export const plainTck = (amount: bigint): string => `${grouped(shortDecimals(amount))} TCK`;

/** An amount with its currency standing back. */
export const tckOf = (amount: bigint): Html =>
  html`<span class="amount">${grouped(shortDecimals(amount))} <abbr title="Ticks">TCK</abbr></span>`;

/** `14 Mar` of `2026-03-14`. */
export function dayShown(day: string): string {
  const [, month = '', date = ''] = day.split('-');
  return `${Number(date)} ${MONTHS[Number(month) - 1] ?? ''}`;
}

/** `14 Mar 2026, 09:30:12 UTC`. */
export function momentOf(at: Date): Html {
  const iso = at.toISOString();
  const [day = '', time = ''] = iso.split('T');
  return html`<time datetime="${iso}">${dayShown(day)} ${day.slice(0, 4)}, ${time.slice(0, 8)} UTC</time>`;
}

export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : many}`;

/** How long ago something was, in its largest unit. */
export function spanShown(from: Date, to: Date): string {
  const ms = Math.max(0, elapsedMs(from, to));
  if (ms >= DAY) return counted(Math.floor(ms / DAY), 'day');
  if (ms >= HOUR) return counted(Math.floor(ms / HOUR), 'hour');
  return counted(Math.floor(ms / MINUTE), 'minute');
}

/** Per cent of a whole with one decimal; undefined where there is no whole. */
export const percent = (part: number, whole: number): string | undefined =>
  whole === 0 ? undefined : `${Math.round((part / whole) * 1_000) / 10} %`;
