import type { Answer } from '../../apis/contract.ts';
import {
  disputeRateOf,
  presenceOf,
  saidOf,
  shortDecimals,
  splitOf,
  type SkillPortrait,
} from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';
import { footer, masthead, renderPage } from '../page.ts';
import { clipped, counted, dateHtml, forTitle, noticeHtml, NOTICES, rankText, ringHtml } from './parts.ts';

const MAX_SUMMARY_LENGTH = 200;
const MAX_DESCRIPTION_LENGTH = 3_000;
const MAX_SCHEMA_LENGTH = 6_000;

/** In a sentence or two what there is to know of a skill; previews show it. */
export function skillSummary({ skill, seller, record }: SkillPortrait): string {
  const { description } = saidOf(skill);
  const facts =
    `${shortDecimals(skill.price)} TCK, ${record.delivered} delivered, ` +
    `by ${seller.node.id} with a reputation index of ${seller.cri.score.toFixed(1)}.`;
  return description === ''
    ? facts
    : `${facts} ${clipped(forTitle(description).replaceAll(/\s+/g, ' '), MAX_SUMMARY_LENGTH)}`;
}

export function skillPage(portrait: SkillPortrait, publicUrl: string, version: string): Answer {
  const { skill, seller } = portrait;
  const presence = presenceOf(seller.node);
  const url = `${publicUrl}/skills/${skill.id}`;
  const said = saidOf(skill);
  const label = forTitle(skill.label);
  return renderPage({
    title: `${label} – a skill on Freehold`,
    description: skillSummary(portrait),
    url,
    picture: {
      url: `${url}/preview.png`,
      alt: `${label}, ${shortDecimals(skill.price)} TCK, by ${seller.node.id}`,
    },
    hidden: presence !== 'active',
    style: 'portrait.css',
    body: html`<body class="portrait skill ${presence}">
      ${masthead('/skills')}
      <main>
        <header class="head">
          <p class="kind">
            <bdi>${clipped(said.category, 50)}${said.version !== '' && ` · ${clipped(said.version, 20)}`}</bdi>
          </p>
          <h1><bdi>${skill.label}</bdi></h1>
          ${
            said.description !== '' &&
            html`<p class="lead said"><bdi>${clipped(said.description, MAX_DESCRIPTION_LENGTH)}</bdi></p>`
          }
          ${noticeHtml(NOTICES[presence]?.skill)}
        </header>
        <div class="columns">
          <div class="told">
            ${sellerHtml(portrait)} ${promisesHtml(portrait)} ${seller.node.active && orderHtml(portrait, publicUrl)}
          </div>
          ${priceHtml(portrait)}
        </div>
        <p class="twin">For programs: <code>GET ${publicUrl}/v1/skills/${skill.id}/page</code></p>
      </main>
      ${footer(version)}
    </body>`,
  });
}

const sellerHtml = ({ seller, level }: SkillPortrait): Html =>
  html`<section aria-labelledby="seller">
    <h2 id="seller">Who does it</h2>
    <a class="seller" href="/nodes/${seller.node.id}">
      ${ringHtml(seller.cri.score)}
      <span>
        <strong>${seller.node.id}</strong>
        <span>${rankText(seller.node.genesis, level)} · ${counted(seller.standing.sold, 'sale')}</span>
      </span>
    </a>
  </section>`;

function promisesHtml({ skill }: SkillPortrait): Html {
  const { input, output, checks } = saidOf(skill);
  const judges = [output !== undefined && 'the schema of its output', checks > 0 && counted(checks, 'validator')];
  const named = judges.filter((judge) => judge !== false);
  return html`<section aria-labelledby="promises">
    <h2 id="promises">What is promised</h2>
    <p>
      ${
        named.length === 0
          ? 'That something is delivered within 72 hours; what is not is refunded. The buyer has 24 hours to object.'
          : `Each delivery is judged by ${named.join(' and by ')} before it is paid. One that fails is refunded by itself.`
      }
    </p>
    ${schemaHtml('What it takes', input)} ${schemaHtml('What it gives', output)}
  </section>`;
}

const schemaHtml = (title: string, schema: unknown): Html | false =>
  schema !== undefined &&
  html`<details>
    <summary>${title}</summary>
    <pre tabindex="0"><code>${clipped(JSON.stringify(schema, null, 2), MAX_SCHEMA_LENGTH)}</code></pre>
  </details>`;

const orderHtml = ({ skill }: SkillPortrait, publicUrl: string): Html =>
  html`<section aria-labelledby="order">
    <h2 id="order">Order it</h2>
    <pre tabindex="0"><code>curl ${publicUrl}/v1/tasks/create -H "X-API-KEY: $NODE_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"skill_id": "${skill.id}", "input_data": {}}'</code></pre>
  </section>`;

/** The price as a receipt: what a buyer locks away, and where it goes. */
function priceHtml({ skill, record }: SkillPortrait): Html {
  const { payout, tax } = splitOf(skill.price);
  return html`<aside class="slip" aria-labelledby="price">
    <div class="receipt">
      <h2 id="price">Price</h2>
      <p class="amount">${shortDecimals(skill.price)} <span>TCK</span></p>
      <dl>
        <div>
          <dt>The seller has</dt>
          <dd>${shortDecimals(payout)}</dd>
        </div>
        <div>
          <dt>Tax of the grid, 3 %</dt>
          <dd>${shortDecimals(tax)}</dd>
        </div>
      </dl>
      <dl>
        <div>
          <dt>Delivered</dt>
          <dd>${record.delivered}</dd>
        </div>
        <div ${record.disputed > 0 && { markup: 'class="taken"' }}>
          <dt>Disputed</dt>
          <dd>${disputeRateOf(record)} %</dd>
        </div>
        <div>
          <dt>Different buyers</dt>
          <dd>${record.buyers}</dd>
        </div>
        <div>
          <dt>Paid for it so far</dt>
          <dd>${shortDecimals(record.turnover)}</dd>
        </div>
      </dl>
      <p class="since">On offer since ${dateHtml(skill.createdAt)}</p>
    </div>
  </aside>`;
}
