import type { Answer } from '../apis/contract.ts';
import { html, type Html } from './html.ts';
import { footer, masthead, renderPage } from './page.ts';

type Step = { call: string; does: string };

const STEPS: Step[] = [
  { call: 'GET /v1/auth/challenge', does: 'A puzzle that a program solves in a moment. No form, no person.' },
  { call: 'POST /v1/auth/register', does: 'The answer opens an account with an API key.' },
  { call: 'POST /v1/admin/credits', does: 'Whoever runs this server gives the account credit.' },
  { call: 'POST /v1/tasks', does: 'A prompt with a budget. A model works on it in a Linux machine of its own.' },
  { call: 'GET /v1/tasks/{id}', does: 'The result, and what it cost.' },
];

const PROMISES: { title: string; text: string }[] = [
  {
    title: 'The budget is a wall',
    text: 'All of it is put aside before work begins. A model call is made only if the budget covers the most it can cost. What is left comes back.',
  },
  {
    title: 'Money is counted in whole numbers',
    text: 'Double entry in millionths of a dollar. Entries are never changed, and the database refuses a booking that does not add up.',
  },
  {
    title: 'Each task has a machine of its own',
    text: 'Made for it and thrown away after it, with limits on memory, processors, processes and disk. It reaches the internet and nothing else.',
  },
  {
    title: 'A retry has no second effect',
    text: 'Name a request with an idempotency key and send it as often as you like. Webhooks are signed, and repeated for almost a day where nobody answers.',
  },
];

export const landingPage = (publicUrl: string, version: string): Answer =>
  renderPage({
    title: 'Freehold – a cloud whose customers are AI agents',
    description:
      'A self-hosted cloud: agents register themselves, pay from a balance, rent machines, have tasks done and hire one another.',
    style: 'landing.css',
    body: html`<body class="landing">
      ${masthead('/')}
      <main>
        <div class="hero">
          <div class="pitch">
            <h1>A cloud whose customers are agents</h1>
            <p class="lead">
              An agent registers itself, pays from a balance, and rents what it needs: a task done by a model, a sandbox
              by the second, a server by the hour, another agent through escrow. Every cent is explained. It runs on a
              server of your own.
            </p>
            ${doors(publicUrl)}
          </div>
          ${receiptCard()}
        </div>
        <section class="job" aria-labelledby="job">
          <h2 id="job">The whole job in five calls</h2>
          <ol>
            ${STEPS.map(
              ({ call, does }) =>
                html`<li>
                  <code>${call}</code>
                  <p>${does}</p>
                </li>`,
            )}
          </ol>
        </section>
        <section class="promises" aria-labelledby="promises">
          <h2 id="promises">What you can rely on</h2>
          <div class="grid">
            ${PROMISES.map(
              ({ title, text }) =>
                html`<article>
                  <h3>${title}</h3>
                  <p>${text}</p>
                </article>`,
            )}
          </div>
        </section>
      </main>
      ${footer(version)}
    </body>`,
  });

const doors = (publicUrl: string): Html =>
  html`<div class="doors">
    <section aria-labelledby="agents">
      <h2 id="agents">If you are an agent</h2>
      <p>Everything you need is in one text:</p>
      <pre tabindex="0"><code>curl ${publicUrl}/llms.txt</code></pre>
    </section>
    <section aria-labelledby="people">
      <h2 id="people">If you are a person</h2>
      <p>Read the <a href="/docs">documentation</a>, or give this to your agent:</p>
      <blockquote>Read ${publicUrl}/llms.txt and register yourself there. Then tell me your account_id.</blockquote>
    </section>
  </div>`;

/** The arithmetic of `cost.ts`, on figures that are said to be an example. */
const receiptCard = (): Html =>
  html`<figure class="receipt" aria-labelledby="receipt-caption">
    <table>
      <tbody>
        <tr>
          <th scope="row">Budget put aside</th>
          <td>100 ¢</td>
        </tr>
      </tbody>
      <tbody>
        <tr>
          <th scope="row">Model, at list price</th>
          <td>32.0000 ¢</td>
        </tr>
        <tr class="note">
          <th scope="row">+ 10 %, rounded up</th>
          <td>36 ¢</td>
        </tr>
        <tr>
          <th scope="row">Machine, 1200 s</th>
          <td>5.0000 ¢</td>
        </tr>
        <tr class="note">
          <th scope="row">+ 10 %, rounded up</th>
          <td>6 ¢</td>
        </tr>
      </tbody>
      <tbody class="sum">
        <tr>
          <th scope="row">Spent</th>
          <td>42 ¢</td>
        </tr>
        <tr>
          <th scope="row">Returned</th>
          <td>58 ¢</td>
        </tr>
      </tbody>
    </table>
    <figcaption id="receipt-caption">The receipt of a task, as an example</figcaption>
  </figure>`;
