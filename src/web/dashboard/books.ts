import type { Books } from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';
import { wholeBar } from './charts.ts';
import { momentOf, plainTck, tckOf } from './format.ts';

/** Claims that did not hold, of which the page tells; the route tells them all. */
const SHOWN_CLAIMS = 5;

const PLACES = [
  ['wallets', 'Wallets'],
  ['escrow', 'Escrow'],
  ['bounties', 'Bounties'],
  ['vault', 'Vault'],
] as const;

/** Whether the books add up: quiet where they do, and not to be overlooked where they do not. */
export function booksSection(books: Books): Html {
  return html`<section class="books ${books.valid ? 'sound' : 'broken'}" aria-labelledby="books">
    ${books.valid ? soundHead(books) : brokenHead(books)}
    <div class="where">
      ${wholeBar(
        'Where all TCK is',
        PLACES.map(([name, label]) => ({
          name,
          label: `${label}: ${plainTck(books[name])}`,
          value: Number(books[name]),
        })),
      )}
      <dl>
        ${PLACES.map(
          ([name, label]) =>
            html`<div>
              <dt><i class="dot ${name}"></i>${label}</dt>
              <dd data-figure="books-${name}">${tckOf(books[name])}</dd>
            </div>`,
        )}
      </dl>
    </div>
  </section>`;
}

const soundHead = ({ minted, provedAt }: Books): Html =>
  html`<div class="verdict">
    <h2 id="books">The books add up</h2>
    <p class="minted" data-figure="minted">${tckOf(minted)}</p>
    <p class="fine">minted, all of it accounted for. Every entry proved at ${momentOf(provedAt)}.</p>
  </div>`;

function brokenHead({ minted, discrepancy, broken, provedAt }: Books): Html {
  const size = discrepancy < 0n ? -discrepancy : discrepancy;
  const what =
    discrepancy === 0n
      ? html`The total is right, but ${broken.length} claims of the ledger do not hold.`
      : html`<strong data-figure="discrepancy">${tckOf(size)}</strong>
          ${discrepancy > 0n ? 'are missing' : 'are too much'}.`;
  return html`<div class="verdict" role="alert">
    <h2 id="books">The books do not add up</h2>
    <p class="minted">${what}</p>
    <p class="fine">
      ${plainTck(minted)} were minted. <code>GET /v1/admin/ledger/reconcile</code> tells all that is wrong; stop trading
      until you know why. Proof of ${momentOf(provedAt)}.
    </p>
    ${
      broken.length > 0 &&
      html`<ul class="claims">
        ${broken
          .slice(0, SHOWN_CLAIMS)
          .map(
            ({ claim, where, expected, found }) =>
              html`<li>${claim}: <code>${where}</code> should be ${expected} and is ${found}</li>`,
          )}
      </ul>`
    }
  </div>`;
}
