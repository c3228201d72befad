import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { after, DAY } from '../../kernel/time.ts';
import type { Database, Tx } from '../../platform/db.ts';
import type { Blobs } from './blobs.ts';
import { insertVersion, lockContents, lockDataset, treesInUse, writeDataset } from './dataset-store.ts';
import { readHarbor, type FolderTrees } from './formats/harbor.ts';
import type { BroughtFolder } from './formats/folder.ts';
import { readSwebench } from './formats/swebench.ts';
import { readTerminalBench } from './formats/terminal-bench.ts';
import {
  MAX_TEXT_BYTES,
  NAME,
  type Dataset,
  type Format,
  type SampleDraft,
  type SampleId,
  type SampleState,
  type SampleTrees,
} from './sample.ts';
import { checkFiles, contentsOf, keepTree } from './tree.ts';

/** One sample as somebody brings it: a line of a JSONL file, or a folder. */
export type Brought =
  | { format: 'swebench'; line: string; folder?: BroughtFolder | undefined }
  | { format: Exclude<Format, 'swebench'>; folder: BroughtFolder };

/** What became of one sample; with every one that was brought, in order, nothing is lost. */
export type ImportResult = {
  sampleId: string;
  outcome: 'imported' | 'new_version' | 'unchanged' | 'refused';
  state: SampleState | undefined;
  /** Why it was refused, or why it cannot be run. */
  reason: string | undefined;
};

export type ImportDeps = {
  db: Database;
  blobs: Blobs;
  /** Has a sample checked once the transaction is committed. */
  requestCheck: (tx: Tx, id: SampleId) => Promise<void>;
};

type Read = { draft: SampleDraft; trees: FolderTrees | undefined };

/** Makes a dataset, or changes what is said of one. */
export async function openDataset(
  db: Database,
  op: Op,
  name: string,
  about: Partial<Pick<Dataset, 'description' | 'grading' | 'reveals'>>,
): Promise<Dataset> {
  if (!NAME.test(name))
    throw new AppError('invalid', 'name must be up to 128 letters, digits, dots, dashes and underscores');
  return db.transact((tx) => writeDataset(tx, name, op.now, about));
}

/**
 * Takes samples into a dataset. A wrong one is told and hinders no other. `trusted` is for what ships with this program
 * and is checked by its own tests: it is offered at once.
 */
export async function importSamples(
  deps: ImportDeps,
  op: Op,
  dataset: string,
  brought: readonly Brought[],
  trusted = false,
): Promise<ImportResult[]> {
  const results: ImportResult[] = [];
  for (const [index, one] of brought.entries())
    results.push(await importOne(deps, op, { dataset, brought: one, label: `sample ${index}`, trusted }));
  return results;
}

/** Contents are removed a few times a day; that it happens twice to one import is a defect. */
const MAX_TRIES = 3;
/** What was sent waits so long for the import that names it. */
const UNUSED_LIVE_MS = DAY;
/** Contents that are removed while imports wait. */
const REMOVED_AT_ONCE = 100;

type Order = { dataset: string; brought: Brought; label: string; trusted: boolean };

async function importOne(deps: ImportDeps, op: Op, order: Order): Promise<ImportResult> {
  try {
    const { draft, trees } = read(order.brought);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const result = await keep(deps, op, order, draft, await keepTrees(deps.blobs, trees));
      if (result !== 'contents gone') return result;
    }
    throw new AppError('conflict', 'What the sample is made of was removed meanwhile');
  } catch (error) {
    if (!isAppError(error, 'invalid')) throw error;
    return { sampleId: nameOf(order.brought), outcome: 'refused', state: undefined, reason: error.message };
  }
}

function read(brought: Brought): Read {
  const { draft, trees } = readAs(brought);
  const texts = Object.values(draft.text).flat();
  if (texts.some((text) => text?.includes('\0') || text?.isWellFormed() === false))
    throw new AppError('invalid', 'It has characters that no text has');
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0);
  if (bytes > MAX_TEXT_BYTES) throw new AppError('invalid', `Its texts have more than ${MAX_TEXT_BYTES} bytes`);
  return { draft, trees };
}

function readAs(brought: Brought): Read {
  checkFiles(brought.folder?.files ?? []);
  if (brought.format === 'swebench') return readSwebench(brought.line, brought.folder);
  return brought.format === 'harbor' ? readHarbor(brought.folder) : readTerminalBench(brought.folder);
}

async function keepTrees(blobs: Blobs, trees: FolderTrees | undefined): Promise<SampleTrees> {
  const kept = async (name: keyof FolderTrees) => {
    const files = trees?.[name] ?? [];
    return files.length === 0 ? undefined : await keepTree(blobs, files);
  };
  return {
    workspace: await kept('workspace'),
    tests: await kept('tests'),
    solution: await kept('solution'),
    context: await kept('context'),
  };
}

/** Files are there before the row that names them: where one is gone again, nothing is written. */
async function keep(
  { db, blobs, requestCheck }: ImportDeps,
  op: Op,
  { dataset, label, trusted }: Order,
  draft: SampleDraft,
  trees: SampleTrees,
): Promise<ImportResult | 'contents gone'> {
  const runnable = trusted ? 'offered' : 'unchecked';
  const state = draft.notRunnable === undefined ? runnable : 'not_runnable';
  return db.transact(async (tx) => {
    await lockContents(tx, 'shared');
    if (!(await areThere(blobs, trees))) return 'contents gone';
    if (!(await lockDataset(tx, dataset))) throw new AppError('not_found', 'Dataset not found');
    const id = newId(op, 'sample', label);
    const { sample, outcome } = await insertVersion(tx, { id, dataset, draft, trees, state, now: op.now });
    if (outcome !== 'unchanged' && state === 'unchecked') await requestCheck(tx, sample.id);
    return { sampleId: sample.sampleId, outcome, state: sample.state, reason: sample.reason };
  });
}

async function areThere(blobs: Blobs, trees: SampleTrees): Promise<boolean> {
  const named = Object.values(trees).filter((tree) => tree !== undefined);
  for (const tree of named) if (!(await blobs.has(tree))) return false;
  for (const content of await contentsOf(blobs, named)) if (!(await blobs.has(content))) return false;
  return true;
}

/**
 * Removes contents that no version of a sample is made of, and that have waited a day for one; answers how many. No
 * import waits while the disk is looked through, only for the removal of a few: each time what has been imported
 * meanwhile is looked at first.
 */
export async function removeUnused({ db, blobs }: Pick<ImportDeps, 'db' | 'blobs'>, op: Op): Promise<number> {
  const before = after(op.now, -UNUSED_LIVE_MS);
  const old = await blobs.cameBefore(before);
  const used = createUsed(blobs);
  await used.add(await treesInUse(db));
  const unused = old.filter((content) => !used.has(content));
  let removed = 0;
  for (let from = 0; from < unused.length; from += REMOVED_AT_ONCE)
    removed += await db.transact(async (tx) => {
      await lockContents(tx, 'alone');
      await used.add(await treesInUse(tx));
      const few = unused.slice(from, from + REMOVED_AT_ONCE).filter((content) => !used.has(content));
      return blobs.remove(few, before);
    });
  return removed;
}

/** What trees are made of; each tree is read once. */
function createUsed(blobs: Blobs) {
  const trees = new Set<string>();
  const contents = new Set<string>();
  return {
    has: (content: string): boolean => contents.has(content),
    async add(more: readonly string[]): Promise<void> {
      const fresh = more.filter((tree) => !trees.has(tree));
      for (const content of await contentsOf(blobs, fresh)) contents.add(content);
      for (const tree of fresh) trees.add(tree);
    },
  };
}

/** What to call a sample that could not be read. */
function nameOf(brought: Brought): string {
  if (brought.format !== 'swebench') return brought.folder.name;
  return /"instance_id"\s*:\s*"([^"\\]{1,128})"/.exec(brought.line)?.[1] ?? 'a line without instance_id';
}
