import { createHash } from 'node:crypto';
import type { Db, Tx } from '../../platform/db.ts';
import type {
  Dataset,
  Format,
  Grading,
  ListedDataset,
  Recipe,
  Sample,
  SampleDraft,
  SampleId,
  SampleState,
  SampleText,
  SampleTrees,
} from './sample.ts';

type DatasetRow = { name: string; description: string | null; grading: Grading; reveals: boolean; created_at: Date };

const datasetOf = (row: DatasetRow): Dataset => ({
  name: row.name,
  description: row.description ?? undefined,
  grading: row.grading,
  reveals: row.reveals,
  createdAt: row.created_at,
});

/** What everybody may see: samples that can be worked on, and those of which it is told why not. */
const SHOWN = `state in ('offered', 'not_runnable')`;

export const listDatasets = async (db: Db): Promise<ListedDataset[]> =>
  (
    await db.query<DatasetRow & { samples: number }>(
      `select d.*, (select count(*)::integer from env_samples s where s.dataset = d.name and s.latest and s.${SHOWN}) as samples
         from env_datasets d order by d.name`,
    )
  ).map((row) => ({ ...datasetOf(row), sampleCount: row.samples }));

export async function findDataset(db: Db, name: string): Promise<Dataset | undefined> {
  const [row] = await db.query<DatasetRow>(`select * from env_datasets where name = $1`, [name]);
  return row && datasetOf(row);
}

/** Makes a dataset, or gives one that is there another description and other rules; what is undefined stays. */
export async function writeDataset(
  tx: Tx,
  name: string,
  now: Date,
  { description, grading, reveals }: Partial<Pick<Dataset, 'description' | 'grading' | 'reveals'>>,
): Promise<Dataset> {
  const [row] = await tx.query<DatasetRow>(
    `insert into env_datasets as d (name, description, grading, reveals, created_at)
     values ($1, $2, coalesce($3, 'strict'), coalesce($4, false), $5)
     on conflict (name) do update
        set description = coalesce($2, d.description), grading = coalesce($3, d.grading), reveals = coalesce($4, d.reveals)
     returning *`,
    [name, description ?? null, grading ?? null, reveals ?? null, now],
  );
  if (!row) throw new Error('a dataset that was just written is not there');
  return datasetOf(row);
}

type SampleRow = {
  id: SampleId;
  dataset: string;
  sample_id: string;
  version: number;
  latest: boolean;
  format: Format;
  text: SampleText;
  recipe: Recipe;
  workspace_tree: string | null;
  tests_tree: string | null;
  solution_tree: string | null;
  context_tree: string | null;
  state: SampleState;
  reason: string | null;
  created_at: Date;
  checked_at: Date | null;
};

const sampleOf = (row: SampleRow): Sample => ({
  id: row.id,
  dataset: row.dataset,
  sampleId: row.sample_id,
  version: row.version,
  latest: row.latest,
  format: row.format,
  text: row.text,
  recipe: row.recipe,
  trees: {
    workspace: row.workspace_tree ?? undefined,
    tests: row.tests_tree ?? undefined,
    solution: row.solution_tree ?? undefined,
    context: row.context_tree ?? undefined,
  },
  state: row.state,
  reason: row.reason ?? undefined,
  createdAt: row.created_at,
  checkedAt: row.checked_at ?? undefined,
});

const COLUMNS = `id, dataset, sample_id, version, latest, format, text, recipe, workspace_tree, tests_tree, solution_tree,
  context_tree, state, reason, created_at, checked_at`;

export const findSample = async (db: Db, id: SampleId): Promise<Sample | undefined> =>
  (await db.query<SampleRow>(`select ${COLUMNS} from env_samples where id = $1`, [id])).map(sampleOf)[0];

/** A shown sample by its name: of a version, or the latest. */
export const findShown = async (
  db: Db,
  name: { dataset: string; sampleId: string; version?: number | undefined },
): Promise<Sample | undefined> =>
  (
    await db.query<SampleRow>(
      `select ${COLUMNS} from env_samples
        where dataset = $1 and sample_id = $2 and ${SHOWN} and case when $3::integer is null then latest else version = $3 end`,
      [name.dataset, name.sampleId, name.version ?? null],
    )
  ).map(sampleOf)[0];

export type SampleFilter = { dataset?: string | undefined; search?: string | undefined };

const SHOWN_MATCHES = `latest and ${SHOWN} and ($1::text is null or dataset = $1)
  and ($2::text is null or position(lower($2) in lower(text->>'instanceId')) > 0)`;

export const countShown = async (db: Db, { dataset, search }: SampleFilter): Promise<number> =>
  (
    await db.query<{ samples: number }>(`select count(*)::integer as samples from env_samples where ${SHOWN_MATCHES}`, [
      dataset ?? null,
      search ?? null,
    ])
  )[0]?.samples ?? 0;

/** By dataset and name. */
export const listShown = async (
  db: Db,
  { dataset, search }: SampleFilter,
  page: { limit: number; offset: number } | undefined,
): Promise<Sample[]> =>
  (
    await db.query<SampleRow>(
      `select ${COLUMNS} from env_samples where ${SHOWN_MATCHES} order by dataset, sample_id limit $3 offset $4`,
      [dataset ?? null, search ?? null, page?.limit ?? null, page?.offset ?? 0],
    )
  ).map(sampleOf);

export type SampleSummary = Pick<Sample, 'sampleId' | 'version' | 'state' | 'reason' | 'checkedAt'>;

/** The newest version of every sample of a dataset, whatever became of it, for the operator. */
export const summarize = async (db: Db, dataset: string): Promise<SampleSummary[]> =>
  (
    await db.query<Pick<SampleRow, 'sample_id' | 'version' | 'state' | 'reason' | 'checked_at'>>(
      `select distinct on (sample_id) sample_id, version, state, reason, checked_at
         from env_samples where dataset = $1 order by sample_id, version desc`,
      [dataset],
    )
  ).map((row) => ({
    sampleId: row.sample_id,
    version: row.version,
    state: row.state,
    reason: row.reason ?? undefined,
    checkedAt: row.checked_at ?? undefined,
  }));

/** SHA-256 of all that makes a sample what it is. */
export const fingerprintOf = (draft: SampleDraft, trees: SampleTrees): Buffer =>
  createHash('sha256')
    .update(JSON.stringify([draft.format, draft.text, draft.recipe, draft.notRunnable ?? null, trees]))
    .digest();

/**
 * Keeps a new version of a sample, unless the newest one is the same. Two imports of one sample wait for each other:
 * the caller has locked the dataset.
 */
export async function insertVersion(
  tx: Tx,
  sample: { id: SampleId; dataset: string; draft: SampleDraft; trees: SampleTrees; state: SampleState; now: Date },
): Promise<{ sample: Sample; outcome: 'imported' | 'new_version' | 'unchanged' }> {
  const { draft, trees } = sample;
  const [newest] = await tx.query<SampleRow & { fingerprint: Buffer }>(
    `select ${COLUMNS}, fingerprint from env_samples
      where dataset = $1 and sample_id = $2 order by version desc limit 1`,
    [sample.dataset, draft.sampleId],
  );
  const fingerprint = fingerprintOf(draft, trees);
  if (newest?.fingerprint.equals(fingerprint)) return { sample: sampleOf(newest), outcome: 'unchanged' };
  const [row] = await tx.query<SampleRow>(
    `insert into env_samples (id, dataset, sample_id, version, latest, format, fingerprint, text, recipe,
                              workspace_tree, tests_tree, solution_tree, context_tree, state, reason, created_at)
     values ($1, $2, $3, $4, false, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
     returning ${COLUMNS}`,
    [
      sample.id,
      sample.dataset,
      draft.sampleId,
      (newest?.version ?? 0) + 1,
      draft.format,
      fingerprint,
      JSON.stringify(draft.text),
      JSON.stringify(draft.recipe),
      trees.workspace ?? null,
      trees.tests ?? null,
      trees.solution ?? null,
      trees.context ?? null,
      sample.state,
      sample.state === 'not_runnable' ? (draft.notRunnable ?? null) : null,
      sample.now,
    ],
  );
  if (!row) throw new Error('a sample that was just written is not there');
  if (sample.state !== 'unchecked') await becomeLatest(tx, row.id);
  return {
    sample: { ...sampleOf(row), latest: sample.state !== 'unchecked' },
    outcome: newest ? 'new_version' : 'imported',
  };
}

/** Of a sample's shown versions the newest is the one that its name means. */
async function becomeLatest(tx: Tx, id: SampleId): Promise<void> {
  await tx.query(
    `update env_samples s set latest = false
       from env_samples n where n.id = $1 and s.dataset = n.dataset and s.sample_id = n.sample_id and s.latest`,
    [id],
  );
  await tx.query(
    `update env_samples s set latest = true
      where s.id = (select o.id from env_samples o join env_samples n on o.dataset = n.dataset and o.sample_id = n.sample_id
                     where n.id = $1 and o.${SHOWN} order by o.version desc limit 1)`,
    [id],
  );
}

/**
 * Held by whoever names contents until the row that names them is there, and by the one who removes what nobody names
 * alone: so no content goes between the look at it and the row.
 */
export const lockContents = async (tx: Tx, how: 'shared' | 'alone'): Promise<void> => {
  const lock = how === 'alone' ? 'pg_advisory_xact_lock' : 'pg_advisory_xact_lock_shared';
  await tx.query(`select ${lock}(hashtextextended('env_contents', 0))`);
};

/** The trees of all versions of all samples. */
export const treesInUse = async (db: Db): Promise<string[]> =>
  (
    await db.query<{ tree: string }>(
      `select distinct tree from env_samples, unnest(array[workspace_tree, tests_tree, solution_tree, context_tree]) tree
        where tree is not null`,
    )
  ).map(({ tree }) => tree);

/** Locks a dataset against other writers of its samples; false where there is none of that name. */
export const lockDataset = async (tx: Tx, name: string): Promise<boolean> =>
  (await tx.query(`select 1 from env_datasets where name = $1 for update`, [name])).length === 1;
/** Samples of a dataset that are to be checked once more. */
export const resetChecks = async (tx: Tx, dataset: string): Promise<SampleId[]> =>
  (
    await tx.query<{ id: SampleId }>(
      `update env_samples set state = 'unchecked', reason = null, latest = false
        where dataset = $1 and (state in ('unchecked', 'rejected') or state = 'not_runnable' and checked_at is not null)
        returning id`,
      [dataset],
    )
  ).map(({ id }) => id);

/** Writes what a check came to. False where it was decided before. */
export async function writeCheck(
  tx: Tx,
  id: SampleId,
  now: Date,
  verdict: { state: 'offered' } | { state: 'rejected' | 'not_runnable'; reason: string },
): Promise<boolean> {
  const rows = await tx.query(
    `update env_samples set state = $2, reason = $3, checked_at = $4 where id = $1 and state = 'unchecked' returning 1`,
    [id, verdict.state, verdict.state === 'offered' ? null : verdict.reason, now],
  );
  if (rows.length === 1) await becomeLatest(tx, id);
  return rows.length === 1;
}

/** Notes the image that was built for a sample. What the sample is stays the same. */
export async function writeImage(tx: Tx, id: SampleId, image: string): Promise<void> {
  await tx.query(`update env_samples set recipe = jsonb_set(recipe, '{image}', to_jsonb($2::text)) where id = $1`, [
    id,
    image,
  ]);
}
