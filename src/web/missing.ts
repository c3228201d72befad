import type { Answer } from '../apis/contract.ts';
import { html, type Html } from './html.ts';
import { footer, masthead, renderPage } from './page.ts';

/** What there is not: in the words of whoever looked, with where to go from there. */
export const missingPage = (title: string, next: Html, version: string): Answer => ({
  ...renderPage({
    title: `${title} – Freehold`,
    description: title,
    hidden: true,
    style: 'missing.css',
    body: html`<body class="missing">
      ${masthead('')}
      <main>
        <p class="status" aria-label="Status 404">404</p>
        <h1>${title}</h1>
        <p class="lead">${next}</p>
      </main>
      ${footer(version)}
    </body>`,
  }),
  status: 404,
});
