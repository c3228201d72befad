/** Markup that is safe to send: made by `html`, which escapes everything that is put into it. */
export type Html = { readonly markup: string };

type Part = Html | string | number | readonly Part[] | undefined | false;

/** A template whose parts are escaped unless they are markup themselves. Absent parts leave nothing. */
export const html = (texts: TemplateStringsArray, ...parts: Part[]): Html => ({
  markup: texts.map((text, index) => text + toMarkup(parts[index])).join(''),
});

function toMarkup(part: Part): string {
  if (part === undefined || part === false) return '';
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part));
  return 'markup' in part ? part.markup : part.map(toMarkup).join('');
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** Text in which `backticks` mark code. */
export const withCode = (text: string): Html => ({
  markup: escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>'),
});
