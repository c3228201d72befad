import type { Answer } from '../apis/contract.ts';
import { MAX_EMAIL_LENGTH, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '../domains/identity/index.ts';
import { html } from './html.ts';
import { footer, masthead, renderPage } from './page.ts';

/** Where a person takes over an account: the link's token stands behind the `#` and is sent only with the form. */
export const claimPage = (version: string): Answer =>
  renderPage({
    title: 'Claim an account – Freehold',
    description: 'Give an account that an agent has opened an e-mail address and a password.',
    style: ['form.css', 'claim.css'],
    script: 'claim.js',
    body: html`<body class="claim">
      ${masthead('/claim')}
      <main>
        <h1>Claim this account</h1>
        <p class="lead">
          An agent opened it and asks you to take it over. Choose how you want to sign in. The agent’s keys keep
          working.
        </p>
        <noscript><p class="notice bad">This page needs JavaScript to send the link’s token safely.</p></noscript>
        <p id="notice" class="notice" role="status" hidden></p>
        <form id="claim" class="form" novalidate>
          <label for="email">E-mail address</label>
          <input
            id="email"
            name="email"
            type="email"
            autocomplete="username"
            maxlength="${MAX_EMAIL_LENGTH}"
            required
          />
          <label for="password">Password</label>
          <input
            id="password"
            name="password"
            type="password"
            autocomplete="new-password"
            minlength="${MIN_PASSWORD_LENGTH}"
            maxlength="${MAX_PASSWORD_LENGTH}"
            aria-describedby="password-hint"
            required
          />
          <p id="password-hint" class="hint">At least ${MIN_PASSWORD_LENGTH} characters.</p>
          <button type="submit">Claim the account</button>
        </form>
      </main>
      ${footer(version)}
    </body>`,
  });
