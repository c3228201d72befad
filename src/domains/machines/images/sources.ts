import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../../../platform/run.ts';

const APT = '/etc/apt';
const DEBIAN_KEYRING = 'debian-archive-keyring';

/** One archive that the host installs packages from. */
export type Archive = { uri: string; suite: string; components: string[]; signedBy: string | undefined };

/**
 * Where this host gets Debian packages, as lines of a sources.list for another Debian release: the same mirrors, the
 * release's own suites. Empty where the host has no Debian archive.
 */
export async function debianSources(release: string): Promise<string[]> {
  const own = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  return own === undefined ? [] : linesFor(await hostArchives(), own, release);
}

export function linesFor(archives: Archive[], own: string, release: string): string[] {
  const suites = new Set([own, `${own}-updates`, `${own}-security`]);
  return archives
    .filter(({ suite, components }) => suites.has(suite) && components.includes('main'))
    .filter(({ signedBy }) => signedBy === undefined || signedBy.includes(DEBIAN_KEYRING))
    .map(({ uri, suite }) => `deb ${uri} ${suite.replace(own, release)} main`);
}

async function hostArchives(): Promise<Archive[]> {
  const parts = await readdir(join(APT, 'sources.list.d')).catch(absent);
  const files = ['sources.list', ...(parts ?? []).map((name) => join('sources.list.d', name))];
  const found = await Promise.all(
    files.map(async (file) => ({ file, text: await readFile(join(APT, file), 'utf8').catch(absent) })),
  );
  return found.flatMap(({ file, text = '' }) =>
    file.endsWith('.sources') ? parseStanzas(text) : file.endsWith('.list') ? parseLines(text) : [],
  );
}

/** The one-line form: `deb [options] uri suite component…`. */
export const parseLines = (text: string): Archive[] =>
  [...text.matchAll(/^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#\n]+)/gm)].map(
    ([, options = '', uri = '', suite = '', components = '']) => ({
      uri,
      suite,
      components: words(components),
      signedBy: /signed-by=(\S+)/.exec(options)?.[1],
    }),
  );

/** The deb822 form: stanzas of fields. */
export function parseStanzas(text: string): Archive[] {
  const stanzas = text.replaceAll(/^#.*\n/gm, '').split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.trim();
    const values = (name: string) => words(field(name) ?? '');
    if (!values('Types').includes('deb') || field('Enabled')?.toLowerCase() === 'no') return [];
    return values('URIs').flatMap((uri) =>
      values('Suites').map((suite) => ({ uri, suite, components: values('Components'), signedBy: field('Signed-By') })),
    );
  });
}

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

/** How this host fetches packages (its proxy, its retries), in the form that apt takes as options. */
export async function aptFetchOptions(): Promise<string[]> {
  const dump = await must(['apt-config', 'dump', '--no-empty', '--format', '%f "%v";%n', 'Acquire']);
  return dump
    .split('\n')
    .filter((line) => /^Acquire::(https?|ftp|Retries|ForceIPv[46]|Check-\S+|Max-FutureTime)\b\S* "/.test(line));
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
