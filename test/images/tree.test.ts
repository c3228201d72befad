import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { idRange } from '../../src/domains/machines/host.ts';
import { baseImageDir } from '../../src/domains/machines/images/base.ts';
import { openShelf } from '../../src/domains/machines/images/shelf.ts';
import { packTree, unpackTree } from '../../src/domains/machines/images/tree.ts';
import { CACHE_DIR, prepareTestHost } from '../machines/host.ts';
import { isThere } from './archive.ts';
import { headOf, longNamed, tarOf, type Member } from './tar.ts';

/** What is taken in as an image's tree, when a machine packs whatever its tenant likes. */
let directory: string;
let baseDir: string;

beforeAll(async () => {
  await prepareTestHost();
  baseDir = baseImageDir(CACHE_DIR, await idRange());
}, 900_000);
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'freehold-hostile-'))));
afterEach(() => rm(directory, { recursive: true }));
afterAll(async () => expect(await readdir(join(baseDir, 'mnt'))).toEqual([]));

const SHELL: Member = { name: 'bin/sh', mode: 0o755, content: '#!' };

async function unpacked(members: Member[], limits?: { files: number; bytes: number }) {
  await writeFile(join(directory, 'archive'), tarOf(members));
  return unpackedArchive(limits);
}

async function unpackedArchive(limits?: { files: number; bytes: number }) {
  const to = join(directory, 'tree');
  await mkdir(to);
  const tree = await unpackTree({
    archive: join(directory, 'archive'),
    to,
    baseDir,
    ids: await idRange(),
    ...(limits && { limits }),
  });
  return { tree, at: (path: string) => join(to, path) };
}

test('names that lead out of the tree reach nothing outside it', async () => {
  const names = ['../escaped', '/../../escaped', '../../../../tmp/freehold-escaped', '/tmp/freehold-escaped'];
  await unpacked([SHELL, ...names.map((name) => ({ name, content: 'out' }))]).catch(() => undefined);
  expect(await isThere(join(directory, 'escaped'))).toBe(false);
  expect(await isThere('/tmp/freehold-escaped')).toBe(false);
  expect(await isThere(join(baseDir, 'tmp/freehold-escaped'))).toBe(false);
});

test('links that lead out of the tree are kept as links, and nothing is written through them', async () => {
  const victim = join(directory, 'victim');
  await writeFile(victim, 'untouched');
  await unpacked([
    SHELL,
    { name: 'out', kind: 'symlink', target: directory },
    { name: 'out/victim', content: 'overwritten' },
    { name: 'etc', kind: 'directory' },
    { name: 'etc/passwd', kind: 'symlink', target: '../../../../../../etc/passwd' },
    { name: 'etc/group', kind: 'symlink', target: victim },
    { name: 'home', kind: 'symlink', target: directory },
    { name: 'tmp', kind: 'symlink', target: '/etc' },
  ]).catch(() => undefined);
  expect(await readFile(victim, 'utf8')).toBe('untouched');
  expect(await readdir(directory)).toEqual(['archive', 'tree', 'victim']);
  expect((await stat('/etc')).mode & 0o7777).toBe(0o755);
});

test('a tree whose own files are links still gets users, a shell and places for mounts', async () => {
  const { at } = await unpacked([
    SHELL,
    { name: 'etc', kind: 'directory' },
    { name: 'etc/passwd', kind: 'symlink', target: '/usr/passwd' },
    { name: 'proc', kind: 'symlink', target: '/etc' },
    { name: 'dev', kind: 'directory' },
    { name: 'dev/null', content: 'no device' },
    { name: '.freehold', content: 'in the way' },
  ]);
  expect(await readFile(at('etc/passwd'), 'utf8')).toBe(
    'root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000::/home/user:/bin/bash\n',
  );
  expect((await stat(at('proc'))).isDirectory()).toBe(true);
  expect(await readdir(at('dev'))).toEqual([]);
  expect(await readFile(at('bin/bash'), 'utf8')).toContain('exec /bin/sh');
  expect(await isThere(at('.freehold'))).toBe(false);
});

test.each<[string, Member[], RegExp]>([
  ['devices', [SHELL, { name: 'disk', kind: 'block', device: [7, 0] }], /could not be unpacked/],
  ['a whiteout', [SHELL, { name: 'gone', kind: 'character', device: [0, 0] }], /could not be unpacked/],
  ['owners beyond a machine', [SHELL, { name: 'file', uid: 70_000, content: '' }], /numbers up to 65535/],
  ['no shell', [{ name: 'bin/ls', mode: 0o755, content: '#!' }], /no shell/],
  ['a file in place of /etc', [SHELL, { name: 'etc', content: '' }], /where a directory must be/],
])('with %s it is refused in a sentence', async (_what, members, sentence) => {
  await expect(unpacked(members)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(sentence) });
});

test('more files or bytes than are taken are refused, before all of them lie on the disk', async () => {
  const many = Array.from({ length: 2_000 }, (_, index) => ({ name: `file-${index}`, content: '' }));
  await expect(unpacked([SHELL, ...many], { files: 100, bytes: 1e9 })).rejects.toMatchObject({ code: 'too_large' });
  expect((await readdir(join(directory, 'tree'))).length).toBeLessThan(1_900);
  await rm(join(directory, 'tree'), { recursive: true });
  const large = { name: 'large', content: 'x'.repeat(2_000_000) };
  await expect(unpacked([SHELL, large], { files: 100, bytes: 1e6 })).rejects.toMatchObject({ code: 'too_large' });
});

test('directories that an archive leaves out count as files, before many of them lie on the disk', async () => {
  const deep = (index: number) => longNamed(`${index}/${'d/'.repeat(500)}file`);
  const many = Array.from({ length: 50 }, (_, index) => deep(index)).flat();
  await expect(unpacked([SHELL, ...many], { files: 5_000, bytes: 1e9 })).rejects.toMatchObject({ code: 'too_large' });
  expect((await readdir(join(directory, 'tree'))).length).toBeLessThan(40);
});

test('an archive whose names fill more memory than the unpacking may have is refused', async () => {
  const length = 1.25 * 2 ** 30;
  const head = headOf({ name: '././@LongLink', kind: 'name' }, length);
  const rest = tarOf([{ name: 'file', content: '' }, SHELL]);
  const archive = await open(join(directory, 'archive'), 'w');
  await archive.write(head);
  await archive.write('long', head.length);
  await archive.write(rest, 0, rest.length, head.length + length);
  await archive.close();
  await expect(unpackedArchive()).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(/unpacked/),
  });
});

test('a tree with paths that are too long for the kernel is refused, and nothing is left of its draft', async () => {
  const shelf = await openShelf({ cacheDir: CACHE_DIR, dataDir: directory });
  const draft = { id: `img_${'0'.repeat(32)}`, machineId: 'mch_1' };
  const { archive } = await shelf.draft(draft);
  // Links that lead one directory further each: below the last, names are longer than the kernel takes from the top.
  const step = 'd'.repeat(90);
  const steps = Array.from({ length: 35 }, (_, index) => 'l/'.repeat(index)).flatMap((to) => [
    ...longNamed(`${to}${step}`, { kind: 'directory' }),
    ...longNamed(`${to}l`, { kind: 'symlink', target: step }),
  ]);
  const deep = longNamed(`${'l/'.repeat(35)}${`${step}/`.repeat(35)}file`);
  await writeFile(archive, tarOf([SHELL, ...steps, ...deep]));
  await expect(shelf.unpack(draft)).rejects.toMatchObject({ code: 'invalid' });
  await shelf.dropDraft(draft);
  expect(await shelf.keys()).toEqual([]);
});

test('a tree with a file that is one large hole is not packed, and its archive is no longer than it may be', async () => {
  const { at } = await unpacked([SHELL]);
  await truncate(at('bin/sh'), 2 ** 40);
  const archive = join(directory, 'packed');
  const packing = packTree({ from: at('.'), archive, baseDir, ids: await idRange(), maxBytes: 1_048_576 });
  await expect(packing).rejects.toMatchObject({ code: 'too_large' });
  expect((await stat(archive)).size).toBeLessThanOrEqual(1_048_576);
});
