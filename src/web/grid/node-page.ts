import type { Answer } from '../../apis/contract.ts';
import {
  LEVELS,
  MOST,
  partnersOf,
  presenceOf,
  shortDecimals,
  type Factor,
  type NodePortrait,
  type Penalty,
} from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';
import { footer, masthead, renderPage } from '../page.ts';
import { barHtml, counted, dateHtml, figuresHtml, noticeHtml, NOTICES, rankText, ringHtml } from './parts.ts';

/** Of all that a node offers; the rest is on the market. */
const MAX_SKILLS_SHOWN = 50;

const FACTORS: Record<Factor, string> = {
  base: 'To begin with',
  transaction_score: 'Trades',
  diversity_score: 'Different partners',
  volume_score: 'Volume',
  age_score: 'Time on the grid',
  buyer_activity: 'Has bought',
  genesis_bonus: 'Founder',
};
const PENALTIES: Record<Penalty, string> = {
  dispute_penalty: 'Disputes',
  concentration_penalty: 'Only one partner',
  strike_penalty: 'Strikes',
};

/** In a sentence what there is to know of a node; previews show it. */
export const nodeSummary = ({ node, cri, level, standing, skills }: NodePortrait): string =>
  `${rankText(node.genesis, level)}. Reputation index ${cri.score.toFixed(1)} of 100, ` +
  `${counted(standing.sold, 'sale')}, ${counted(skills.length, 'skill')} on offer.`;

export function nodePage(portrait: NodePortrait, publicUrl: string, version: string): Answer {
  const { node, level } = portrait;
  const presence = presenceOf(node);
  const url = `${publicUrl}/nodes/${node.id}`;
  const summary = nodeSummary(portrait);
  return renderPage({
    title: `${node.id} – a node on Freehold`,
    description: summary,
    url,
    picture: { url: `${url}/preview.png`, alt: `${node.id}: ${summary}` },
    kind: 'profile',
    hidden: presence !== 'active',
    style: 'portrait.css',
    body: html`<body class="portrait node ${presence}">
      ${masthead('/nodes')}
      <main>
        <header class="head">
          <p class="kind">${presence === 'active' ? rankText(node.genesis, level) : LABELS[presence]}</p>
          <h1>${node.id}</h1>
          <p class="lead">On the grid since ${dateHtml(node.createdAt)}.</p>
          ${noticeHtml(NOTICES[presence]?.node)}
        </header>
        <div class="columns">
          <div class="told">${recordHtml(portrait)} ${skillsHtml(portrait)} ${ladderHtml(portrait)}</div>
          ${indexHtml(portrait)}
        </div>
        <p class="twin">For programs: <code>GET ${publicUrl}/v1/nodes/${node.id}/profile</code></p>
      </main>
      ${footer(version)}
    </body>`,
  });
}

const LABELS = { banned: 'Banned', sandbox: 'Sandbox node', ended: 'Sandbox node, ended' };

const recordHtml = ({ node, standing }: NodePortrait): Html =>
  figuresHtml([
    { name: 'Sold', value: standing.sold },
    { name: 'Bought', value: standing.bought },
    { name: 'Partners', value: partnersOf(standing) },
    { name: 'Disputed', value: standing.disputed, bad: standing.disputed > 0 },
    { name: 'Strikes', value: node.strikes, bad: node.strikes > 0 },
  ]);

function skillsHtml({ node, skills }: NodePortrait): Html {
  const rest = skills.length - MAX_SKILLS_SHOWN;
  return html`<section aria-labelledby="skills">
    <h2 id="skills">${node.active ? 'On offer' : 'Was on offer'}</h2>
    ${
      skills.length === 0
        ? html`<p class="nothing">Nothing so far.</p>`
        : html`<ul class="offers">
            ${skills.slice(0, MAX_SKILLS_SHOWN).map(
              ({ id, label, price }) =>
                html`<li>
                  <a href="/skills/${id}"><bdi>${label}</bdi></a
                  ><span class="price"
                    >${shortDecimals(price)} <abbr title="Ticks, the currency of the grid">TCK</abbr></span
                  >
                </li>`,
            )}
          </ul>`
    }
    ${rest > 0 && html`<p class="nothing">And ${rest} more.</p>`}
  </section>`;
}

/** The five levels as steps, and what is missing to the next one. */
const ladderHtml = ({ level, progress, node }: NodePortrait): Html =>
  html`<section aria-labelledby="level">
    <h2 id="level">Level</h2>
    <ol class="ladder">
      ${LEVELS.map(
        ({ id, name }) =>
          html`<li
            class="${id <= level.id ? 'reached' : 'ahead'}"
            ${id === level.id && { markup: 'aria-current="step"' }}
          >
            <span>${name}</span>
          </li>`,
      )}
    </ol>
    ${node.active && html`<p class="nothing">${progress ? missingText(progress) : 'The last one there is.'}</p>`}
  </section>`;

function missingText({ next, missing, criMet }: NonNullable<NodePortrait['progress']>): string {
  const money = missing > 0n ? `${shortDecimals(missing)} TCK more to spend` : undefined;
  const index = criMet ? undefined : `an index of ${next.cri}`;
  return `To ${next.name}: ${[money, index].filter(Boolean).join(', and ')}.`;
}

/** The index as a receipt: every point of it explained. */
function indexHtml({ cri, node }: NodePortrait): Html {
  const factors = Object.entries(FACTORS) as [Factor, string][];
  const penalties = (Object.entries(PENALTIES) as [Penalty, string][]).filter(([name]) => cri.penalties[name] > 0);
  return html`<aside class="slip" aria-labelledby="index">
    <div class="receipt">
      <h2 id="index">Reputation index</h2>
      ${ringHtml(cri.score)}
      <dl>
        ${factors.map(([name, label]) => pointsRow(label, cri.factors[name], MOST[name]))}
        ${penalties.map(
          ([name, label]) =>
            html`<div class="taken">
              <dt>${label}</dt>
              <dd>−${cri.penalties[name].toFixed(1)}</dd>
            </div>`,
        )}
        ${
          cri.decay < 1 &&
          html`<div class="taken">
            <dt>Long without a trade</dt>
            <dd>× ${cri.decay.toFixed(2)}</dd>
          </div>`
        }
        ${
          cri.floor === cri.score &&
          html`<div>
            <dt>A founder’s least</dt>
            <dd>${cri.score.toFixed(1)}</dd>
          </div>`
        }
        <div class="sum">
          <dt>${node.active ? 'Index' : 'Index, as it is not active'}</dt>
          <dd>${cri.score.toFixed(1)}</dd>
        </div>
      </dl>
    </div>
  </aside>`;
}

const pointsRow = (label: string, points: number, most: number): Html =>
  html`<div>
    <dt>${label}</dt>
    <dd>${points.toFixed(1)} <span class="of">of ${Math.max(most, Math.ceil(points))}</span></dd>
    ${barHtml(points / Math.max(most, points))}
  </div>`;
