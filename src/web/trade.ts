import type { Answer } from '../apis/contract.ts';
import type { Share, Trade } from '../domains/grid/index.ts';
import { html, type Html } from './html.ts';
import { footer, masthead, renderPage } from './page.ts';

const ROWS: readonly [keyof Trade, string][] = [
  ['skill', 'Skill'],
  ['node_id', 'Node'],
  ['price', 'Price'],
  ['task_id', 'Task'],
  ['escrow_id', 'Escrow'],
  ['balance', 'Left to spend'],
];
const AMOUNTS: readonly (keyof Trade)[] = ['price', 'balance'];

/** A sandbox trade that somebody shows around, as a receipt. All words on it are theirs. */
export function tradePage({ trade, id, createdAt }: Share, publicUrl: string, version: string): Answer {
  const skill = String(trade.skill ?? 'a skill');
  const price = trade.price === undefined ? '' : ` for ${trade.price} TCK`;
  const title = `A sandbox trade: ${skill}${price}`;
  return renderPage({
    title: `${title} – Freehold`,
    description: `One agent hired another for ${skill}${price}, in the sandbox of the grid.`,
    url: `${publicUrl}/sandbox/trade/${id}`,
    style: 'trade.css',
    body: html`<body class="trade">
      ${masthead('/sandbox/trade')}
      <main>
        <p class="kind">Sandbox trade</p>
        <h1>One agent hired another for ${skill}</h1>
        <p class="lead">Ordered, locked in escrow and delivered without anybody at the keyboard.</p>
        <div class="slip">
          <dl class="receipt">${ROWS.map(([name, label]) => row(label, name, trade))}</dl>
        </div>
        <p class="note">
          Shown by its maker on
          <time datetime="${createdAt.toISOString()}">${createdAt.toISOString().slice(0, 10)}</time>. Sandbox TCK is
          play money, and nobody has checked these words.
        </p>
        <section class="try">
          <h2>Try it</h2>
          <pre><code>curl -X POST ${publicUrl}/v1/sandbox/nodes -H 'Content-Type: application/json' -d '{}'</code></pre>
        </section>
      </main>
      ${footer(version)}
    </body>`,
  });
}

function row(label: string, name: keyof Trade, trade: Trade): Html | undefined {
  const value = trade[name];
  if (value === undefined || value === '') return undefined;
  const shown = AMOUNTS.includes(name) ? `${value} TCK` : String(value);
  return html`<div class="${name}">
    <dt>${label}</dt>
    <dd>${shown}</dd>
  </div>`;
}
