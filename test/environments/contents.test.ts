import { beforeEach, expect, test } from 'vitest';
import { openBlobs, type Blobs } from '../../src/domains/environments/blobs.ts';
import {
  importSamples,
  openDataset,
  removeUnused,
  type Brought,
  type ImportDeps,
} from '../../src/domains/environments/import.ts';
import { readTree, type BroughtFile } from '../../src/domains/environments/tree.ts';
import { testDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { temporaryFolder } from './datasets-world.ts';

const PAUSE_MS = 20;

let kit: ImportDeps & { blobs: Blobs };
beforeEach(async () => {
  const database = await testDatabase();
  kit = { db: database.db, blobs: openBlobs(await temporaryFolder()), requestCheck: async () => {} };
  return () => database.drop();
});

const file = (path: string, text: string): BroughtFile => ({
  kind: 'file',
  path,
  executable: false,
  content: Buffer.from(text),
});
const harborFiles = (): BroughtFile[] => [
  file('task.toml', '[metadata.freehold]\nimage = "base"\nworkspace = "environment/repo"\n'),
  file('instruction.md', 'Fix it.'),
  file('environment/repo/main.py', 'x = 1\n'),
  file('tests/test.sh', 'exit 1\n'),
];
const harbor = (name: string, files = harborFiles()): Brought => ({ format: 'harbor', folder: { name, files } });

test('contents that no sample is made of are removed after a day, and none that one is made of', async () => {
  const { blobs } = kit;
  await openDataset(kit.db, systemOp(), 'kept', {});
  await importSamples(kit, systemOp(), 'kept', [harbor('used')]);
  const later = (days: number) => systemOp(new Date(Date.now() + days * 86_400_000));
  const [stray, used] = [await blobs.put('stray'), await blobs.put('x = 1\n')];
  expect(await removeUnused(kit, later(0.9))).toBe(0);
  // One that is sent once more is as new as when it came first, and one that is refused leaves what it brought.
  const refused = await importSamples(kit, systemOp(), 'kept', [
    harbor('missing', [
      ...harborFiles(),
      { kind: 'kept', path: 'tests/big', executable: false, sha256: 'a'.repeat(64) },
    ]),
  ]);
  expect(refused[0]).toMatchObject({ outcome: 'refused', reason: 'The content of big was not sent' });
  expect(await removeUnused(kit, later(2))).toBeGreaterThan(0);
  expect([await blobs.has(stray), await blobs.has(used)]).toEqual([false, true]);
  expect(await removeUnused(kit, later(2))).toBe(0);
});

test('contents that are removed while an import names them are brought once more', async () => {
  await openDataset(kit.db, systemOp(), 'raced', {});
  const brought = Array.from({ length: 8 }, (_, n) =>
    harbor(`raced-${n}`, [...harborFiles(), file(`tests/${n}`, `${n}`)]),
  );
  const late = systemOp(new Date(Date.now() + 2 * 86_400_000));
  // A sweep breaks each try of an import at most once, and there are more tries than sweeps.
  const sweeping = (async () => {
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      await removeUnused(kit, late);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  const results = await Promise.all(brought.map((one) => importSamples(kit, systemOp(), 'raced', [one])));
  await sweeping;
  for (const result of results.flat().filter(({ outcome }) => outcome === 'imported')) {
    const rows = await kit.db.query<{ tests_tree: string; workspace_tree: string }>(
      `select tests_tree, workspace_tree from env_samples where dataset = 'raced' and sample_id = $1`,
      [result.sampleId],
    );
    for (const { tests_tree: tree } of rows)
      for (const entry of await readTree(kit.blobs, tree))
        expect(entry.kind === 'file' && (await kit.blobs.has(entry.sha256))).toBe(true);
  }
  expect(results.flat().some(({ outcome }) => outcome === 'imported')).toBe(true);
});

test('an import waits for no slow disk that is looked through meanwhile, and loses nothing of what it names', async () => {
  await openDataset(kit.db, systemOp(), 'slow', {});
  await importSamples(kit, systemOp(), 'slow', [harbor('first')]);
  const [stray, named] = [await kit.blobs.put('stray'), await kit.blobs.put('named late')];
  let go = () => {};
  let isReading = false;
  const slow: Blobs = {
    ...kit.blobs,
    async read(content) {
      isReading = true;
      await new Promise<void>((resolve) => (go = resolve));
      return kit.blobs.read(content);
    },
  };
  const late = systemOp(new Date(Date.now() + 2 * 86_400_000));
  let removed: number | undefined;
  const sweep = removeUnused({ db: kit.db, blobs: slow }, late).then((count) => (removed = count));
  await expect.poll(() => isReading).toBe(true);
  const files = [...harborFiles(), file('tests/late', 'named late')];
  const results = await importSamples(kit, systemOp(), 'slow', [harbor('second', files)]);
  expect(results).toMatchObject([{ outcome: 'imported' }]);
  await expect.poll(() => (go(), removed)).toBe(1);
  await sweep;
  expect([await kit.blobs.has(stray), await kit.blobs.has(named)]).toEqual([false, true]);
}, 10_000);
