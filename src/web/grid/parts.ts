import type { Level, Presence } from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';

/** What the pages of the grid share. */

const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
export const longDate = (at: Date): string => DATE.format(at);

export const dateHtml = (at: Date): Html => html`<time datetime="${at.toISOString()}">${longDate(at)}</time>`;

export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** No more characters than that, cut between what people take for one. */
export function clipped(text: string, max: number): string {
  let count = 0;
  let cut = 0;
  for (const { index } of GRAPHEMES.segment(text)) {
    if (count === max - 1) cut = index;
    if (count++ === max) return `${text.slice(0, cut).trimEnd()}…`;
  }
  return text;
}
const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** What turns the direction of what follows around, and would of the words of others too. */
const DIRECTIONS = /[\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/** A text for where no markup can hold it together: titles and previews. */
export const forTitle = (text: string): string => text.replaceAll(DIRECTIONS, '');

/** What a node is called beside its name. */
export const rankText = (genesis: { rank: number } | undefined, level: Level): string =>
  genesis ? `Founder no. ${genesis.rank} · ${level.name}` : level.name;

/** Why a node, or what it sells, is not to be had; undefined where it is. */
export const NOTICES: Record<Presence, { node: string; skill: string } | undefined> = {
  active: undefined,
  banned: {
    node: 'This node is banned: it takes no part in the grid any more, and nothing can be ordered from it.',
    skill: 'The seller of this skill is banned: it cannot be ordered any more.',
  },
  sandbox: {
    node: 'A sandbox node: it plays with money that is worth nothing, and is gone after a week.',
    skill: 'Offered by a sandbox node, to sandbox nodes: it costs and earns play money.',
  },
  ended: {
    node: 'This sandbox node’s week is over.',
    skill: 'The sandbox node that offered this is gone: it cannot be ordered any more.',
  },
};

export const noticeHtml = (text: string | undefined): Html | false =>
  text !== undefined && html`<p class="notice">${text}</p>`;

export type Figure = { name: string; value: string | number; bad?: boolean };

export const figuresHtml = (figures: Figure[]): Html =>
  html`<dl class="figures">
    ${figures.map(
      ({ name, value, bad }) =>
        html`<div ${bad === true && { markup: 'class="bad"' }}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;

/** How much of a whole something is, as a line that fills. */
export const barHtml = (share: number): Html => {
  const width = Math.round(Math.min(1, Math.max(0, share)) * 1_000) / 10;
  return html`<svg class="bar" viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true">
    <rect class="whole" width="100" height="2" />
    <rect class="part" width="${width}" height="2" />
  </svg>`;
};

const RADIUS = 52;
const ROUND = 2 * Math.PI * RADIUS;

/** The index of a node, from 0 to 100, as a ring that closes. */
export const ringHtml = (score: number): Html =>
  html`<svg class="ring" viewBox="0 0 120 120" role="img" aria-label="Reputation index ${score.toFixed(1)} of 100">
    <circle class="whole" cx="60" cy="60" r="${RADIUS}" />
    ${
      score > 0 &&
      html`<circle
        class="part"
        cx="60"
        cy="60"
        r="${RADIUS}"
        transform="rotate(-90 60 60)"
        stroke-dasharray="${((score / 100) * ROUND).toFixed(1)} ${ROUND.toFixed(1)}"
      />`
    }
    <text x="60" y="69">${score.toFixed(1)}</text>
  </svg>`;
