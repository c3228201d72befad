/** What follows visitors around and changes nothing of the page. */
const TRACKING = /^(utm_\w+|gclid|fbclid|msclkid|dclid|yclid|mc_[ce]id|igshid|ref_src|ref|_ga|si)$/;
const MAX_LINK_LENGTH = 2_048;

/** A page on the web, without what tracks its visitors. Undefined for anything else. */
export function linkOf(value: unknown): URL | undefined {
  if (typeof value !== 'string' || value.length > MAX_LINK_LENGTH || !URL.canParse(value)) return undefined;
  const link = new URL(value);
  if (!['http:', 'https:'].includes(link.protocol) || link.username !== '' || link.password !== '') return undefined;
  const tracking = [...link.searchParams.keys()].filter((name) => TRACKING.test(name));
  for (const name of tracking) link.searchParams.delete(name);
  link.hash = '';
  return link;
}

/** The same for the same page, however it is written. */
export function keyOf(link: URL): string {
  const parameters = new URLSearchParams(link.searchParams);
  parameters.sort();
  const path = link.pathname.replace(/\/(index\.html?)?$/, '');
  return `${link.host.replace(/^(www|m|amp)\./, '')}${path}?${parameters.toString()}`;
}

export const isWithin = (domain: string, site: string): boolean => domain === site || domain.endsWith(`.${site}`);
