import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { SETTING_NAMES } from '../src/config.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const exists = (path: string): boolean => existsSync(join(ROOT, path));

const DOCUMENTS = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

test('.env.example has every setting, each with a sentence above it, and no other', () => {
  const lines = read('.env.example').split('\n');
  const settings = lines.flatMap((line, index) => {
    const name = /^#([A-Z0-9_]+)=/.exec(line)?.[1];
    return name ? [{ name, index }] : [];
  });
  expect(settings.map(({ name }) => name).toSorted()).toEqual(SETTING_NAMES.toSorted());
  // A setting may share the sentence of the one before it.
  const isTold = (index: number): boolean => {
    const above = lines[index - 1] ?? '';
    return /^# [A-Za-z]/.test(above) || (/^#[A-Z0-9_]+=/.test(above) && isTold(index - 1));
  };
  expect(settings.filter(({ index }) => !isTold(index))).toEqual([]);
});

test.each(DOCUMENTS)('%s names only files that exist', (document) => {
  const text = read(document);
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target = '']) =>
    join(dirname(document), target),
  );
  const paths = [...text.matchAll(/`((?:src|test|bin|docs|migrations|bench)\/[\w./-]*)`/g)].map(
    ([, path = '']) => path,
  );
  expect([...links, ...paths].filter((path) => !exists(path))).toEqual([]);
});

test('the tree of ARCHITECTURE.md is the one that is there', () => {
  const [, tree = ''] = read('ARCHITECTURE.md').split('```\n');
  const folders: string[] = [];
  const shown = tree.split('\n').flatMap((line) => {
    const [, indent = '', names = ''] = /^( *)(\S+(?: \S+\.\w+)*)/.exec(line) ?? [];
    const depth = indent.length / 2;
    const paths = names.split(' ').map((name) => [...folders.slice(0, depth), name].join(''));
    if (names.endsWith('/')) folders.splice(depth, folders.length, names);
    return names === '' ? [] : paths;
  });
  expect(shown.length).toBeGreaterThan(25);
  expect(shown.filter((path) => !exists(path))).toEqual([]);
  const isShown = (path: string): boolean => shown.includes(path);
  const domains = readdirSync(join(ROOT, 'src/domains')).map((name) => `src/domains/${name}/`);
  const contracts = readdirSync(join(ROOT, 'src/apis')).map(
    (name) => `src/apis/${name}${name.includes('.') ? '' : '/'}`,
  );
  expect([...domains, ...contracts].filter((path) => !isShown(path))).toEqual([]);
});

test('the licence is the one that package.json and every page name', () => {
  expect(JSON.parse(read('package.json'))).toMatchObject({ license: 'Apache-2.0' });
  expect(read('LICENSE')).toMatch(/Apache License\s+Version 2\.0/);
});

test('the versions of clients that the README supports are those that the tests run', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> };
  const [, supported = ''] = read('README.md').split('Supported, and run in the tests as they come from npm: ');
  const told = [...supported.replaceAll('\n', ' ').matchAll(/`(@?[\w/-]+)` (\d[\d.]*\d)/g)].slice(0, 3);
  expect(told.map(([, name]) => name)).toEqual(['e2b', '@e2b/code-interpreter', '@computesdk/e2b']);
  for (const [, name = '', version = ''] of told)
    expect([name, `${devDependencies[name]}.`.startsWith(`${version}.`)]).toEqual([name, true]);
});
