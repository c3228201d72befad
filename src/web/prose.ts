import { html, withCode, type Html } from './html.ts';

/** Text that is written once and shown twice: as Markdown to agents, as a page to people. `Backticks` mark code. */
export type Block =
  | { kind: 'text'; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'table'; head: string[]; rows: string[][] }
  | { kind: 'code'; language: 'sh' | 'json' | 'js'; text: string };

export type Section = { id: string; title: string; blocks: Block[] };

export const text = (...lines: string[]): Block => ({ kind: 'text', text: lines.join(' ') });
export const list = (...items: string[]): Block => ({ kind: 'list', items });
export const table = (head: string[], ...rows: string[][]): Block => ({ kind: 'table', head, rows });
export const shell = (...lines: string[]): Block => ({ kind: 'code', language: 'sh', text: lines.join('\n') });
export const script = (...lines: string[]): Block => ({ kind: 'code', language: 'js', text: lines.join('\n') });

export const sectionMarkdown = ({ title, blocks }: Section): string =>
  [`## ${title}`, ...blocks.map(blockMarkdown)].join('\n\n');

function blockMarkdown(block: Block): string {
  switch (block.kind) {
    case 'text':
      return block.text;
    case 'list':
      return block.items.map((item) => `- ${item}`).join('\n');
    case 'table':
      return [block.head, block.head.map(() => '---'), ...block.rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
    case 'code':
      return `\`\`\`${block.language}\n${block.text}\n\`\`\``;
  }
}

export const sectionHtml = ({ id, title, blocks }: Section): Html =>
  html`<section id="${id}">
    <h2><a href="#${id}">${title}</a></h2>
    ${blocks.map(blockHtml)}
  </section>`;

function blockHtml(block: Block): Html {
  switch (block.kind) {
    case 'text':
      return html`<p>${withCode(block.text)}</p>`;
    case 'list':
      return html`<ul>
        ${block.items.map((item) => html`<li>${withCode(item)}</li>`)}
      </ul>`;
    case 'table':
      return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              ${block.head.map((cell) => html`<th scope="col">${cell}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${block.rows.map(
              (row) =>
                html`<tr>
                  ${row.map((cell) => html`<td>${withCode(cell)}</td>`)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`;
    case 'code':
      return html`<pre tabindex="0"><code>${block.text}</code></pre>`;
  }
}
