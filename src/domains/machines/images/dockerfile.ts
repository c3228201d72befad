/**
 * Names that a Dockerfile may build on, as far as they could be images of the account: the words after FROM and those
 * of `--from=`. Only a guess at what is worth having at hand; what the file means is the builder's to say.
 */
export function namesIn(dockerfile: string): string[] {
  const froms = [...dockerfile.matchAll(/^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)/gim)].map(([, name]) => name);
  const stages = [...dockerfile.matchAll(/(?:--from=|,from=)([^\s,]+)/gi)].map(([, name]) => name);
  const names = [...froms, ...stages].flatMap((name) => (name === undefined ? [] : [localName(name)]));
  return [...new Set(names)];
}

const localName = (name: string): string => name.replace(/^localhost\//, '').replace(/:latest$/, '');
