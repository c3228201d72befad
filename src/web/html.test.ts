import { expect, test } from 'vitest';
import { html, withCode } from './html.ts';

test('text is escaped wherever it is put', () => {
  const text = `<script>alert("1" & '2')</script>`;
  const escaped = '&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;';
  expect(html`<p title="${text}">${text}</p>`.markup).toBe(`<p title="${escaped}">${escaped}</p>`);
  expect(html`${[text, html`<b>${text}</b>`]}`.markup).toBe(`${escaped}<b>${escaped}</b>`);
  expect(withCode(`<i> \`<b>\``).markup).toBe('&lt;i&gt; <code>&lt;b&gt;</code>');
});

test('markup stays markup, numbers are shown, and what is absent leaves nothing', () => {
  expect(html`<p>${html`<b>${0}</b>`}${undefined}${false}</p>`.markup).toBe('<p><b>0</b></p>');
});
