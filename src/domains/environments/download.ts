import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { AppError } from '../../kernel/errors.ts';
import { tarOf, type ArchiveEntry } from './archive.ts';
import { findDataset, findShown } from './dataset-store.ts';
import type { Sample } from './sample.ts';
import { archiveOf, readTree } from './tree.ts';
import type { EnvironmentsWorld } from './world.ts';

export type Download = { name: string; content: Readable };

/**
 * A sample as a tar.gz, made while it is sent: its workspace, what its image is built from, and what is said of it.
 * Hidden tests and the solution are in it only where the dataset shows them. The same version is always the same bytes.
 */
export async function download(
  { db, blobs }: Pick<EnvironmentsWorld, 'db' | 'blobs'>,
  name: { dataset: string; sampleId: string; version?: number | undefined },
  about: (sample: Sample, reveals: boolean) => string,
): Promise<Download> {
  const [dataset, sample] = [await findDataset(db, name.dataset), await findShown(db, name)];
  if (!dataset || !sample) throw new AppError('not_found', 'Sample not found');
  const { trees } = sample;
  const hidden = dataset.reveals ? { tests: trees.tests, solution: trees.solution } : {};
  const parts = { repo: trees.workspace, environment: trees.context, ...hidden };
  const entries: ArchiveEntry[] = [textEntry('sample.json', about(sample, dataset.reveals))];
  for (const [folder, hash] of Object.entries(parts))
    if (hash !== undefined) entries.push(...archiveOf(blobs, await readTree(blobs, hash), folder));
  // No time in its head: the same sample is the same bytes.
  const content = Readable.from(tarOf(entries), { objectMode: false }).pipe(createGzip());
  return { name: `${sample.sampleId}-v${sample.version}.tar.gz`, content };
}

function textEntry(path: string, text: string): ArchiveEntry {
  const bytes = Buffer.from(text);
  return { kind: 'file', path, executable: false, bytes: bytes.length, content: Readable.from([bytes]) };
}
