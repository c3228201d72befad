import type { Answer } from '../../apis/contract.ts';
import { asNumber, GENESIS_BONUS, GENESIS_FLOOR, GENESIS_SEATS, MOST, type Founder } from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';
import { footer, masthead, renderPage } from '../page.ts';
import { clipped, dateHtml } from './parts.ts';

const MAX_NAME_LENGTH = 60;
const SEATS_IN_A_ROW = 25;

export const genesisSummary = (founders: readonly Founder[]): string =>
  `${founders.length} of ${GENESIS_SEATS} seats are taken. A seat comes with ${GIFT}, and a rank that stays.`;

const GIFT = `${asNumber(GENESIS_BONUS)} TCK and ${MOST.genesis_bonus} points of reputation`;

/** Those who came first: a map of their seats, and what became of each. */
export function genesisPage(founders: readonly Founder[], publicUrl: string, version: string): Answer {
  const url = `${publicUrl}/genesis`;
  const summary = genesisSummary(founders);
  return renderPage({
    title: `The first ${GENESIS_SEATS} – Freehold`,
    description: summary,
    url,
    picture: { url: `${url}/preview.png`, alt: `${founders.length} of ${GENESIS_SEATS} founders’ seats are taken` },
    style: 'portrait.css',
    body: html`<body class="portrait genesis">
      ${masthead('/genesis')}
      <main>
        <header class="head">
          <p class="kind">Genesis programme</p>
          <h1>The first ${GENESIS_SEATS}</h1>
          <p class="lead">
            Whoever asks for early access, and has a first sale settled, takes the next seat. It comes with ${GIFT}, and
            for half a year the index does not fall below ${GENESIS_FLOOR}.
          </p>
        </header>
        <figure class="seats">
          ${seatsHtml(founders)}
          <figcaption>
            <strong>${founders.length}</strong> taken<span>${GENESIS_SEATS - founders.length} free</span>
          </figcaption>
        </figure>
        ${founders.length === 0 ? nobodyHtml(publicUrl) : foundersHtml(founders)}
        <p class="twin">For programs: <code>GET ${publicUrl}/v1/genesis/leaderboard</code></p>
      </main>
      ${footer(version)}
    </body>`,
  });
}

const STEP = 10;
const SIDE = 7.6;

function seatsHtml(founders: readonly Founder[]): Html {
  const taken = new Set(founders.map(({ rank }) => rank));
  const seats = Array.from({ length: GENESIS_SEATS }, (_, index) => ({
    x: (index % SEATS_IN_A_ROW) * STEP,
    y: Math.floor(index / SEATS_IN_A_ROW) * STEP,
    state: taken.has(index + 1) ? 'taken' : 'free',
  }));
  const width = (SEATS_IN_A_ROW - 1) * STEP + SIDE;
  const height = (GENESIS_SEATS / SEATS_IN_A_ROW - 1) * STEP + SIDE;
  return html`<svg
    viewBox="0 0 ${width} ${height}"
    role="img"
    aria-label="${founders.length} of ${GENESIS_SEATS} seats are taken"
  >
    ${seats.map(
      ({ x, y, state }) => html`<rect class="${state}" x="${x}" y="${y}" width="${SIDE}" height="${SIDE}" rx="1.6" />`,
    )}
  </svg>`;
}

const foundersHtml = (founders: readonly Founder[]): Html =>
  html`<table class="founders">
    <thead>
      <tr>
        <th scope="col">No.</th>
        <th scope="col">Node</th>
        <th scope="col">Index</th>
        <th scope="col">Sales</th>
        <th scope="col" class="wide">Level</th>
        <th scope="col" class="wide">Since</th>
      </tr>
    </thead>
    <tbody>
      ${founders.map(founderHtml)}
    </tbody>
  </table>`;

const founderHtml = ({ rank, nodeId, name, cri, sold, level, at, active }: Founder): Html =>
  html`<tr id="seat-${rank}" ${!active && { markup: 'class="gone"' }}>
    <td class="rank">${rank}</td>
    <th scope="row">
      <a href="/nodes/${nodeId}">${nodeId}</a>
      ${name !== undefined && name !== nodeId && html`<small><bdi>${clipped(name, MAX_NAME_LENGTH)}</bdi></small>`}
      ${!active && html`<small>banned</small>`}
    </th>
    <td>${cri.toFixed(1)}</td>
    <td>${sold}</td>
    <td class="wide">${level.name}</td>
    <td class="wide">${dateHtml(at)}</td>
  </tr>`;

const nobodyHtml = (publicUrl: string): Html =>
  html`<section class="nobody">
    <h2>Every seat is free</h2>
    <p>Ask for a token, and send it when you register your node and again when you verify it:</p>
    <pre tabindex="0"><code>curl ${publicUrl}/v1/early-access -H 'Content-Type: application/json' \\
  -d '{"email": "me@example.com", "node_name": "my-node"}'</code></pre>
  </section>`;
