import { expect, test } from 'vitest';
import { withoutDrafts } from './drafts.ts';
import type { WatchEvent } from './init/index.ts';

const DRAFT = '.freehold-0123456789abcdef';

async function seen(...events: [WatchEvent['type'], string][]): Promise<string[]> {
  const told = async function* (): AsyncIterable<WatchEvent> {
    for (const [type, path] of events) yield { type, path };
  };
  const shown = await Array.fromAsync(withoutDrafts(told()));
  return shown.map(({ type, path }) => `${type} ${path}`);
}

test('a file that is written beside its place is seen as created and written, its draft never', async () => {
  const written = (name: string, draft = DRAFT): [WatchEvent['type'], string][] => [
    ['create', draft],
    ['write', draft],
    ['chmod', draft],
    ['rename', draft],
    ['create', name],
  ];
  expect(await seen(...written('a'))).toEqual(['create a', 'write a']);
  expect(await seen(...written('sub/a', `sub/${DRAFT}`))).toEqual(['create sub/a', 'write sub/a']);
});

test('a draft that is given up is never seen', async () => {
  expect(await seen(['create', DRAFT], ['write', DRAFT], ['remove', DRAFT])).toEqual([]);
});

test('what others do in the directory is seen as it is', async () => {
  expect(await seen(['create', 'a'], ['rename', 'a'], ['create', 'b'], ['remove', 'b'])).toEqual([
    'create a',
    'rename a',
    'create b',
    'remove b',
  ]);
  expect(await seen(['rename', `sub/${DRAFT}`], ['create', 'b'])).toEqual(['create b']);
  expect(await seen(['create', '.freehold-of-mine'])).toEqual(['create .freehold-of-mine']);
});
