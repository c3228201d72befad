import type { Answer } from '../apis/contract.ts';
import { html } from './html.ts';
import { MARK, renderPage } from './page.ts';

/** Why a tenant's application cannot be shown. */
export type Unreachable = { status: number; title: string; text: string; sandboxId?: string | undefined };

/**
 * What a person sees at the address of a tenant's application that cannot be shown. It stands at the tenant's name, so
 * it links to nothing: every path there is the tenant's.
 */
export const unreachablePage = ({ status, title, text, sandboxId }: Unreachable): Answer => ({
  ...renderPage({
    title: `${title} – Freehold`,
    description: text,
    style: 'unreachable.css',
    body: html`<body class="unreachable">
      <main>
        <p class="status" aria-label="Status ${status}">${status}</p>
        <h1>${title}</h1>
        <p class="lead">${text}</p>
        ${
          sandboxId !== undefined &&
          html`<dl>
            <dt>Sandbox</dt>
            <dd><code>${sandboxId}</code></dd>
          </dl>`
        }
      </main>
      <footer><span class="wordmark">${MARK}Freehold</span></footer>
    </body>`,
  }),
  status,
});
