import { z } from 'zod';
import { NAME, type Brought, type BroughtFile, type Environments } from '../../domains/environments/index.ts';
import { ok, route, type Route } from '../contract.ts';

const TAG = 'Operations';
const MAX_DESCRIPTION_LENGTH = 2_000;
const MAX_PATH_LENGTH = 1_024;
const MAX_FILES = 20_000;
const MAX_LINES = 1_000;
/** One sample at a time: its files in base64, or a few lines of a JSONL file. */
const BODY_LIMIT = 64_000_000;

const NameOf = z
  .string()
  .regex(NAME, { error: 'must be up to 128 letters, digits, dots, dashes and underscores' })
  .meta({ examples: ['my-set'] });
const Params = z.object({ dataset: z.string() });

const DatasetBody = z.object({
  name: NameOf,
  description: z.string().max(MAX_DESCRIPTION_LENGTH).optional(),
  grading: z.enum(['strict', 'subset']).optional().meta({
    description: 'strict: exactly the named tests pass and fail. subset: those that must pass do.',
  }),
  reveals: z.boolean().optional().meta({ description: 'Whether hidden tests and solutions are shown to everybody.' }),
});
const DatasetShown = z.object({
  name: z.string(),
  description: z.string().nullable(),
  grading: z.enum(['strict', 'subset']),
  reveals: z.boolean(),
});

const File = z.union([
  z.object({
    path: z.string().max(MAX_PATH_LENGTH),
    content_base64: z.base64(),
    executable: z.boolean().default(false),
  }),
  z.object({
    path: z.string().max(MAX_PATH_LENGTH),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .meta({ description: 'Of a content that was sent to /v1/admin/contents.' }),
    executable: z.boolean().default(false),
  }),
  z.object({ path: z.string().max(MAX_PATH_LENGTH), link_to: z.string().max(MAX_PATH_LENGTH) }),
]);
const ImportBody = z
  .object({
    format: z.enum(['swebench', 'harbor', 'terminal-bench']),
    lines: z.array(z.string()).max(MAX_LINES).optional().meta({ description: 'Of a SWE-bench file.' }),
    folder: z
      .object({ name: z.string().max(MAX_PATH_LENGTH), files: z.array(File).max(MAX_FILES) })
      .optional()
      .meta({
        description:
          'One task of another format. With the only line of a SWE-bench file: `repo/` at its commit, `tests/` as its test patch leaves them, `removed` with the paths that the patch removes, and where there is one `setup.sh`.',
      }),
  })
  .refine(({ format, lines, folder }) => (format === 'swebench' ? lines : folder) !== undefined, {
    error: 'lines are needed for swebench, and a folder for every other format',
  })
  .refine(({ format, lines = [], folder }) => format !== 'swebench' || !folder || lines.length === 1, {
    error: 'a folder belongs to one line',
  })
  .meta({ examples: [{ format: 'swebench', lines: [] }] });

const State = z.enum(['unchecked', 'offered', 'rejected', 'not_runnable']);
const Imported = z.object({
  results: z.array(
    z.object({
      sample_id: z.string(),
      outcome: z.enum(['imported', 'new_version', 'unchanged', 'refused']),
      state: State.nullable(),
      reason: z.string().nullable(),
    }),
  ),
});
const Summary = z.object({
  samples: z.array(
    z.object({
      sample_id: z.string(),
      version: z.int(),
      state: State,
      reason: z.string().nullable(),
      checked_at: z.iso.datetime().nullable(),
    }),
  ),
});

export const datasetRoutes = ({ environments }: { environments: Environments }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/admin/contents',
    tag: TAG,
    summary: 'Send a large file of a sample',
    description:
      'The body is the file as it is. An import names it by its hash; one that none has named within a day is removed.',
    access: 'admin',
    stream: true,
    fails: ['too_large'],
    replies: { 200: { description: 'It is kept', schema: z.object({ sha256: z.string(), bytes: z.int() }) } },
    handle: async (op, { body }) => ok(await environments.keepContent(op, body)),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/datasets',
    tag: TAG,
    summary: 'Make a dataset, or change what is said of it',
    access: 'admin',
    body: DatasetBody,
    replies: { 200: { description: 'The dataset', schema: DatasetShown } },
    handle: async (op, { body: { name, ...about } }) => {
      const { description, grading, reveals } = await environments.openDataset(op, name, about);
      return ok({ name, description: description ?? null, grading, reveals } satisfies z.input<typeof DatasetShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/admin/datasets/:dataset/samples',
    tag: TAG,
    summary: 'Take samples into a dataset',
    description: 'Each is checked before it is offered: its solution must pass, and nothing must not.',
    access: 'admin',
    params: Params,
    body: ImportBody,
    bodyLimit: BODY_LIMIT,
    replies: { 200: { description: 'What became of each', schema: Imported } },
    handle: async (op, { params, body }) => {
      const results = await environments.importSamples(op, params.dataset, broughtIn(body));
      return ok({
        results: results.map(({ sampleId, outcome, state, reason }) => ({
          sample_id: sampleId,
          outcome,
          state: state ?? null,
          reason: reason ?? null,
        })),
      } satisfies z.input<typeof Imported>);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/admin/datasets/:dataset/samples',
    tag: TAG,
    summary: 'Show what became of the samples of a dataset',
    access: 'admin',
    params: Params,
    replies: { 200: { description: 'The newest version of each', schema: Summary } },
    handle: async (op, { params }) => ok(presentSummary(await environments.summary(op, params.dataset))),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/datasets/:dataset/check',
    tag: TAG,
    summary: 'Check samples once more that were rejected or not checked yet',
    access: 'admin',
    params: Params,
    replies: { 200: { description: 'How many', schema: z.object({ checking: z.int() }) } },
    handle: async (op, { params }) => ok({ checking: await environments.recheck(op, params.dataset) }),
  }),
];

const presentSummary = (samples: Awaited<ReturnType<Environments['summary']>>): z.input<typeof Summary> => ({
  samples: samples.map((sample) => ({
    sample_id: sample.sampleId,
    version: sample.version,
    state: sample.state,
    reason: sample.reason ?? null,
    checked_at: sample.checkedAt?.toISOString() ?? null,
  })),
});

function broughtIn({ format, lines = [], folder }: z.output<typeof ImportBody>): Brought[] {
  const brought = folder && { name: folder.name, files: folder.files.map(fileOf) };
  if (format === 'swebench') return lines.map((line) => ({ format, line, folder: brought }));
  return brought ? [{ format, folder: brought }] : [];
}

function fileOf(file: z.output<typeof File>): BroughtFile {
  if ('link_to' in file) return { kind: 'link', path: file.path, target: file.link_to };
  const { path, executable } = file;
  return 'sha256' in file
    ? { kind: 'kept', path, executable, sha256: file.sha256 }
    : { kind: 'file', path, executable, content: Buffer.from(file.content_base64, 'base64') };
}
