import type { Answer } from '../apis/contract.ts';
import type { OpenApiDocument, Operation, Parameter, Schema } from '../apis/openapi.ts';
import { guide } from './guide.ts';
import { agentText, customRequests } from './guide-servers.ts';
import { html, withCode, type Html } from './html.ts';
import { accessText } from './llms.ts';
import { footer, masthead, renderPage } from './page.ts';
import { sectionHtml, type Section } from './prose.ts';
import { exampleOf, fieldsOf, typeText } from './shape.ts';

type Call = { method: string; path: string; operation: Operation };
type Group = { id: string; name: string; calls: Call[] };

/** `/docs`: the guide and every route, for people. */
export function docsPage(document: OpenApiDocument, publicUrl: string, version: string): Answer {
  const sections = guide(publicUrl);
  const groups = groupsOf(document);
  return renderPage({
    title: 'Documentation – Freehold',
    description: 'How agents register, pay and have tasks done, and every route of the API.',
    style: 'docs.css',
    script: 'docs.js',
    body: html`<body class="docs">
      <a class="skip" href="#content">Skip to the content</a>
      ${masthead('/docs')}
      <div class="columns">
        ${contents(sections, groups)}
        <main id="content">
          <h1>Documentation</h1>
          <p class="lead">
            How an agent uses this server, from the first request to the receipt, and then every route. For an agent,
            the same is in <a href="/llms.txt">llms.txt</a>; for a program, in <a href="/openapi.json">openapi.json</a>.
          </p>
          ${forYourAgent(publicUrl)} ${sections.map(sectionHtml)} ${groups.map((group) => groupHtml(group, publicUrl))}
        </main>
      </div>
      ${footer(version)}
    </body>`,
  });
}

/** `/docs/custom-requests`: what the API does not give, and whom to ask. */
export const customRequestsPage = (version: string): Answer =>
  renderPage({
    title: 'Ask for more – Freehold',
    description: 'Whom to ask for what the API does not give.',
    style: 'docs.css',
    body: html`<body class="docs">
      ${masthead('/docs')}
      <div class="columns">
        <nav class="contents" aria-label="Contents"><a href="/docs">Back to the documentation</a></nav>
        <main id="content">${sectionHtml(customRequests())}</main>
      </div>
      ${footer(version)}
    </body>`,
  });

/** A person copies it into the instructions of an agent. */
const forYourAgent = (publicUrl: string): Html =>
  html`<section id="for-your-agent" class="for-agent">
    <h2><a href="#for-your-agent">For your agent</a></h2>
    <p>
      Point it at <a href="/llms.txt">${publicUrl}/llms.txt</a>, or put this into its instructions. The second button
      copies all of llms.txt.
    </p>
    <pre tabindex="0" id="agent-text"><code>${agentText(publicUrl)}</code></pre>
    <p>
      <button type="button" data-copy="#agent-text">Copy</button>
      <button type="button" data-copy="/llms.txt">Copy llms.txt</button>
      <span id="copied" role="status"></span>
    </p>
  </section>`;

function groupsOf({ tags, paths }: OpenApiDocument): Group[] {
  const calls = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, operation]) => !operation['x-alias-of'])
      .map(([method, operation]): Call => ({ method: method.toUpperCase(), path, operation })),
  );
  return tags.map(({ name }) => ({
    id: `tag-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`,
    name,
    calls: calls.filter(({ operation }) => operation.tags.includes(name)),
  }));
}

const contents = (sections: Section[], groups: Group[]): Html =>
  html`<nav class="contents" aria-label="Contents">
    <details open>
      <summary>Contents</summary>
      <label class="find" for="find"
        ><span>Find a route</span><input id="find" type="search" autocomplete="off" placeholder="tasks, POST, webhook"
      /></label>
      <div id="guide">
        <h2>Guide</h2>
        <ul>
          <li><a href="#for-your-agent">For your agent</a></li>
          ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
        </ul>
      </div>
      ${groups.map(
        ({ id, name, calls }) =>
          html`<div class="group">
            <h2><a href="#${id}">${name}</a></h2>
            <ul>
              ${calls.map(
                ({ method, path, operation }) =>
                  html`<li data-search="${`${method} ${path} ${operation.summary} ${name}`.toLowerCase()}">
                    <a href="#${operation.operationId}">${verb(method)}<span>${operation.summary}</span></a>
                  </li>`,
              )}
            </ul>
          </div>`,
      )}
      <p id="nothing" hidden>No route fits.</p>
    </details>
  </nav>`;

const verb = (method: string): Html => html`<b class="verb ${method.toLowerCase()}">${method}</b>`;

const groupHtml = ({ id, name, calls }: Group, publicUrl: string): Html =>
  html`<section id="${id}" class="group">
    <h2><a href="#${id}">${name}</a></h2>
    ${calls.map((call) => callHtml(call, publicUrl))}
  </section>`;

function callHtml(call: Call, publicUrl: string): Html {
  const { method, path, operation } = call;
  const { operationId, summary, description, parameters = [], requestBody } = operation;
  const body = requestBody?.content['application/json']?.schema;
  return html`<article id="${operationId}" class="call">
    <header>
      <h3><a href="#${operationId}">${summary}</a></h3>
      <p class="route">${verb(method)}<code>${path}</code></p>
    </header>
    <div class="told">
      ${description && html`<p>${withCode(description)}</p>`}
      <p class="access">${withCode(accessText(operation))}</p>
      ${parameters.length > 0 && fieldTable('Parameters', parameters.map(parameterRow))}
      ${
        body &&
        fieldTable(
          'Body',
          fieldsOf(body).map(({ name, type, required, description: about }) => fieldRow(name, type, required, about)),
        )
      }
      ${repliesHtml(operation)}
    </div>
    <div class="shown">
      <pre tabindex="0" aria-label="Example request"><code>${curl(call, publicUrl, body)}</code></pre>
      ${exampleReplies(operation)}
    </div>
  </article>`;
}

const parameterRow = (parameter: Parameter): Html =>
  fieldRow(parameter.name, `${parameter.in}, ${typeText(parameter.schema)}`, parameter.required, parameter.description);

const fieldRow = (name: string, type: string, required: boolean, description: string | undefined): Html =>
  html`<div>
    <dt><code>${name}</code>${!required && html` <i>optional</i>`}</dt>
    <dd><span class="type">${type}</span>${description && html`<span>${withCode(description)}</span>`}</dd>
  </div>`;

const fieldTable = (title: string, rows: Html[]): Html =>
  html`<h4>${title}</h4>
    <dl class="fields">${rows}</dl>`;

function repliesHtml({ responses }: Operation): Html {
  const entries = Object.entries(responses);
  const success = entries.find(([status]) => status < '300');
  const schema = success?.[1].content?.['application/json']?.schema;
  const fields = schema ? fieldsOf(schema) : [];
  return html`${
      fields.length > 0 &&
      html`<details>
        <summary>Fields of the reply</summary>
        <dl class="fields">${fields.map(({ name, type, description }) => fieldRow(name, type, true, description))}</dl>
      </details>`
    }
    <details>
      <summary>Statuses</summary>
      <dl class="statuses">
        ${entries.map(
          ([status, { description }]) =>
            html`<div>
              <dt>${status}</dt>
              <dd>${description}</dd>
            </div>`,
        )}
      </dl>
    </details>`;
}

function curl({ method, path, operation }: Call, publicUrl: string, body: Schema | undefined): string {
  const [needed] = operation.security;
  const url = publicUrl + path.replaceAll(/\{(\w+)\}/g, (_placeholder, name: string) => `$${name.toUpperCase()}`);
  const parts = [
    `curl ${method === 'GET' || (method === 'POST' && body) ? '' : `-X ${method} `}${url}`,
    needed && `-H "Authorization: Bearer $${'adminKey' in needed ? 'ADMIN_KEY' : 'KEY'}"`,
    body && `-H 'Content-Type: application/json'`,
    body && `-d '${JSON.stringify(exampleOf(body, 'required')).replaceAll("'", String.raw`'\''`)}'`,
  ];
  return parts.filter(Boolean).join(' \\\n  ');
}

/** Replies that look the same are shown once, with all their statuses. */
function exampleReplies({ responses }: Operation): Html[] {
  const statusesOf = new Map<string, string[]>();
  for (const [status, { content }] of Object.entries(responses)) {
    const schema = content?.['application/json']?.schema;
    if (!schema || status >= '300') continue;
    const body = JSON.stringify(exampleOf(schema), null, 2);
    statusesOf.set(body, [...(statusesOf.get(body) ?? []), status]);
  }
  return [...statusesOf].map(
    ([body, statuses]) =>
      html`<pre tabindex="0" aria-label="Example reply"><code><span class="status">${statuses.join(', ')}</span>
${body}</code></pre>`,
  );
}
