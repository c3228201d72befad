import { asNumber, type Desk, type Sum } from '../../domains/grid/index.ts';
import type { DeliveryTally } from '../../domains/webhooks/index.ts';
import { html, type Html } from '../html.ts';
import { meter, seatPlan, wholeBar } from './charts.ts';
import { grouped, tckOf } from './format.ts';

const TASKS = [
  ['OPEN', 'Open', 'open'],
  ['IN_PROGRESS', 'In progress', 'working'],
  ['COMPLETED', 'Delivered', 'waiting'],
  ['SETTLED', 'Settled', 'settled'],
  ['DISPUTED', 'Disputed', 'disputed'],
  ['REFUNDED', 'Given back', 'refunded'],
] as const;
const ESCROWS = [
  ['PENDING', 'Locked', 'open'],
  ['AWAITING_SETTLEMENT', 'Delivered, window open', 'waiting'],
  ['SETTLED', 'Settled', 'settled'],
  ['DISPUTED', 'Disputed', 'disputed'],
  ['REFUNDED', 'Given back', 'refunded'],
] as const;
const BOUNTIES = [
  ['open', 'Open', 'open'],
  ['awarded', 'Awarded', 'settled'],
  ['expired', 'Expired', 'waiting'],
  ['cancelled', 'Cancelled', 'refunded'],
] as const;
const DELIVERIES = [
  ['delivered', 'Delivered', 'settled'],
  ['pending', 'To be sent', 'open'],
  ['failed', 'To be tried again', 'waiting'],
  ['exhausted', 'Given up', 'disputed'],
] as const;
const RULES: Record<string, string> = {
  BUYER_DISPUTE: 'The buyer objected',
  TIMEOUT_NON_DELIVERY: 'Nothing was delivered',
  PROOF_MISSING: 'The output was empty',
  SCHEMA_MISMATCH: 'Not as the schema says',
  VALIDATOR_FAILED: 'A validator failed',
  MANUAL_RESOLUTION: 'You decided',
  NODE_BANNED: 'Held for a banned node',
};

/** Where tasks and their money are. */
export const workPanels = (desk: Desk): Html =>
  html`<section class="panels two" aria-label="Tasks and escrows">
    <div class="panel">
      <h2>Tasks</h2>
      ${countTable(
        'tasks',
        TASKS.map(([status, label, name]) => ({ key: status, label, name, count: desk.tasks.get(status)?.count ?? 0 })),
      )}
    </div>
    <div class="panel">
      <h2>Escrows</h2>
      ${sumTable(
        'escrows',
        ESCROWS.map(([state, label, name]) => ({ key: state, label, name, sum: desk.escrows.get(state) })),
      )}
    </div>
  </section>`;

/** What else there is to know. */
export const otherPanels = (desk: Desk, deliveries: DeliveryTally): Html =>
  html`<section class="panels" aria-label="Bounties, disputes, webhooks and seats">
    <div class="panel">
      <h2>Bounties</h2>
      ${sumTable(
        'bounties',
        BOUNTIES.map(([state, label, name]) => ({ key: state, label, name, sum: desk.bounties.get(state) })),
      )}
    </div>
    <div class="panel">
      <h2>Rulings <small>${desk.days.length} days</small></h2>
      ${
        desk.rulings.length === 0
          ? html`<p class="none">No escrow was disputed or given back.</p>`
          : countTable(
              'rulings',
              desk.rulings.map(({ rule, count }) => ({
                key: rule,
                label: RULES[rule] ?? rule,
                name: 'disputed',
                count,
              })),
            )
      }
    </div>
    <div class="panel">
      <h2>Webhooks <small>waiting, and over in a day</small></h2>
      ${countTable(
        'webhooks',
        DELIVERIES.map(([state, label, name]) => ({ key: state, label, name, count: deliveries[state] })),
      )}
    </div>
    ${seatsPanel(desk)}
  </section>`;

const seatsPanel = ({ nodes, seats }: Desk): Html =>
  html`<div class="panel">
    <h2>Genesis</h2>
    <p class="value">
      <span data-figure="genesis">${grouped(nodes.founders)}</span> <small>of ${grouped(seats.genesis)} seats</small>
    </p>
    ${seatPlan(`${nodes.founders} of ${seats.genesis} seats are taken`, nodes.founders, seats.genesis)}
    <p class="fine">
      <span data-figure="pioneers">${grouped(nodes.pioneers)}</span> of ${seats.pioneers} verifier pioneers
    </p>
  </div>`;

type CountRow = { key: string; label: string; name: string; count: number };

function countTable(figure: string, rows: readonly CountRow[]): Html {
  const most = Math.max(...rows.map(({ count }) => count));
  return html`<table class="counts">
    <tbody>
      ${rows.map(
        ({ key, label, name, count }) =>
          html`<tr class="${count === 0 && 'zero'}">
            <th scope="row">${label}</th>
            <td class="bar">${meter(name, count, most)}</td>
            <td class="number" data-figure="${figure}-${key}">${grouped(count)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

type SumRow = { key: string; label: string; name: string; sum: Sum | undefined };

/** How many, and how much. The bar above is of the money. */
function sumTable(figure: string, rows: readonly SumRow[]): Html {
  const parts = rows.map(({ name, label, sum }) => ({ name, label, value: asNumber(sum?.amount ?? 0n) }));
  return html`${wholeBar('Shares of the money', parts)}
    <table class="sums">
      <tbody>
        ${rows.map(
          ({ key, label, name, sum }) =>
            html`<tr class="${!sum?.count && 'zero'}">
              <th scope="row"><i class="dot ${name}"></i>${label}</th>
              <td class="number" data-figure="${figure}-${key}">${grouped(sum?.count ?? 0)}</td>
              <td class="number" data-figure="${figure}-${key}-tck">${tckOf(sum?.amount ?? 0n)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

/** Who sells most, and what. */
export const topPanels = ({ sellers, skills, days }: Desk): Html =>
  html`<section class="panels two" aria-label="Who sells most, and what">
    <div class="panel">
      <h2>Top nodes <small>${days.length} days</small></h2>
      ${sellers.length === 0 ? html`<p class="none">No node has earned anything yet.</p>` : sellerTable(sellers)}
    </div>
    <div class="panel">
      <h2>Top skills <small>${days.length} days</small></h2>
      ${
        skills.length === 0
          ? html`<p class="none">No skill was ordered.</p>`
          : countTable(
              'skill',
              skills.map(({ label, count }, place) => ({ key: String(place + 1), label, name: 'settled', count })),
            )
      }
    </div>
  </section>`;

const sellerTable = (sellers: Desk['sellers']): Html =>
  html`<table class="sellers">
    <thead>
      <tr>
        <th scope="col">Node</th>
        <th scope="col" class="number">CRI</th>
        <th scope="col" class="number">Delivered</th>
        <th scope="col" class="number">Earned</th>
      </tr>
    </thead>
    <tbody>
      ${sellers.map(
        ({ id, cri, sold, earned, founder }) =>
          html`<tr>
            <th scope="row">${id}${founder && html` <span class="badge">Genesis</span>`}</th>
            <td class="number">${cri.toFixed(1)}</td>
            <td class="number">${grouped(sold)}</td>
            <td class="number" data-figure="earned-${id}">${tckOf(earned)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
