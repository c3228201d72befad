import type { Answer } from '../../apis/contract.ts';
import type { Desk } from '../../domains/grid/index.ts';
import type { DeliveryTally } from '../../domains/webhooks/index.ts';
import { html, type Html } from '../html.ts';
import { footer, MARK, renderPage } from '../page.ts';
import { alertList, alertsOf } from './alerts.ts';
import { booksSection } from './books.ts';
import { momentOf } from './format.ts';
import { otherPanels, topPanels, workPanels } from './panels.ts';
import { courseSection, tileRow } from './tiles.ts';

/** How often a browser loads the page anew. */
const REFRESH_SECONDS = 60;
const PATH = '/v1/admin/dashboard';
const MAX_KEY_LENGTH = 512;

/** The operator's pages: what is to be seen, and where one says who one is. */
export const dashboardPages = (version: string) => ({
  figures: (desk: Desk, deliveries: DeliveryTally): Answer => figuresPage(desk, deliveries, version),
  signIn: (problem?: string): Answer => signInPage(problem, version),
});

function figuresPage(desk: Desk, deliveries: DeliveryTally, version: string): Answer {
  const alerts = alertsOf(desk, deliveries);
  return renderPage({
    title: `${titleOf(
      desk,
      alerts.some(({ kind }) => kind === 'bad'),
    )} – Freehold`,
    description: 'The operator’s view of the grid.',
    style: 'dashboard.css',
    refreshSeconds: REFRESH_SECONDS,
    sendsForm: true,
    body: html`<body class="desk">
      <header class="top">
        <a class="wordmark" href="/">${MARK}Freehold</a>
        <h1>The grid</h1>
        <p class="asof">${momentOf(desk.at)} <span>refreshes every minute</span></p>
        <form method="post" action="${PATH}/sign-out"><button type="submit">Sign out</button></form>
      </header>
      <main>
        ${booksSection(desk.books)} ${alertList(alerts)}
        <section aria-labelledby="now">
          <h2 id="now">Now</h2>
          ${tileRow(desk)}
        </section>
        ${courseSection(desk)} ${workPanels(desk)} ${otherPanels(desk, deliveries)} ${topPanels(desk)}
      </main>
      ${footer(version)}
    </body>`,
  });
}

/** Seen in a row of tabs. */
function titleOf({ books }: Desk, isBad: boolean): string {
  if (!books.valid) return '⚠ The books do not add up';
  return isBad ? '⚠ The grid' : 'The grid';
}

const signInPage = (problem: string | undefined, version: string): Answer =>
  renderPage({
    title: 'Sign in – Freehold',
    description: 'The operator’s view of the grid.',
    style: ['form.css', 'dashboard.css'],
    sendsForm: true,
    body: html`<body class="desk sign-in">
      <header class="top"><a class="wordmark" href="/">${MARK}Freehold</a></header>
      <main>
        <h1>The grid, for its operator</h1>
        <p class="lead">
          Sign in with the admin key. You can look for an hour; this opens the dashboard and nothing else.
        </p>
        <form class="form" method="post" action="${PATH}">
          ${problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`}
          <label for="key">Admin key</label>
          <input
            id="key"
            name="key"
            type="password"
            autocomplete="current-password"
            maxlength="${MAX_KEY_LENGTH}"
            aria-describedby="key-hint"
            required
            autofocus
          />
          <p id="key-hint" class="hint">
            What <code>FREEHOLD_ADMIN_KEY</code> says, or <code>admin.key</code> in the data directory.
          </p>
          <button type="submit">Sign in</button>
        </form>
        ${keyNote()}
      </main>
      ${footer(version)}
    </body>`,
  });

const keyNote = (): Html =>
  html`<p class="hint">Programs send the key with each request instead: <code>Authorization: Bearer …</code></p>`;
