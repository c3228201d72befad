import { z } from 'zod';
import { ok, route, type Route } from '../contract.ts';
import type { DatasetDomains } from './datasets.ts';
import { presentSample } from './present-sample.ts';
import { MAX_PAGE, READ, Timestamp, wholeNumber } from './wire.ts';

const TAG = 'Samples';
const MAX_PAGE_SIZE = 100;
const USUAL_PAGE_SIZE = 50;
const MAX_NAME_LENGTH = 128;
const MAX_SEARCH_LENGTH = 200;
const MAX_VERSION = 1_000_000;

const Name = z.string().min(1).max(MAX_NAME_LENGTH);

export const SampleShown = z.object({
  sample_id: z.string(),
  instance_id: z.string(),
  dataset: z.string(),
  language: z.string(),
  repo: z.string(),
  base_commit: z.string(),
  environment_setup_commit: z.string(),
  problem_statement: z.string(),
  hints_text: z.string(),
  patch: z.string().meta({ description: 'Empty where the dataset does not show its solutions.' }),
  non_code_patch: z.string(),
  test_patch: z.string().meta({ description: 'Empty where the dataset does not show its tests.' }),
  fail_to_pass: z.array(z.string()),
  pass_to_pass: z.array(z.string()),
  fail_to_fail: z.array(z.string()),
  verifier: z.enum(['test_suite', 'static_analysis', 'linter', 'custom']),
  version: z.int(),
  latest: z.boolean(),
  description: z.string().nullable(),
  version_description: z.string().nullable(),
  created_at: Timestamp,
  runnable: z.boolean(),
  not_runnable_reason: z.string().nullable(),
});
const SamplePage = z.object({
  samples: z.array(SampleShown),
  total_count: z.int(),
  page: z.int(),
  page_size: z.int(),
  has_more: z.boolean(),
});
const ListQuery = z.object({
  dataset: Name.optional(),
  search: z.string().max(MAX_SEARCH_LENGTH).optional().meta({ description: 'A part of the instance_id.' }),
  page: wholeNumber({ min: 1, max: MAX_PAGE }).optional(),
  page_size: wholeNumber({ min: 1, max: MAX_PAGE_SIZE }).optional(),
});
const SampleParams = z.object({ dataset: z.string(), sample_id: z.string() });
const DownloadQuery = z.object({ version: wholeNumber({ min: 1, max: MAX_VERSION }).optional() });
const Archive = z.string().meta({ format: 'binary' });

export const sampleRoutes = ({ environments }: DatasetDomains): Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/samples',
    tag: TAG,
    summary: 'List the samples',
    description: 'All of them where neither `page` nor `page_size` is given.',
    access: 'public',
    query: ListQuery,
    replies: { 200: { description: 'The samples', schema: SamplePage } },
    handle: async (op, { query: { dataset, search, page, page_size: pageSize } }) => {
      const isPaged = page !== undefined || pageSize !== undefined;
      const [number, size] = [page ?? 1, pageSize ?? USUAL_PAGE_SIZE];
      const window = isPaged ? { limit: size, offset: (number - 1) * size } : undefined;
      const { samples, total } = await environments.samples(op, { dataset, search }, window);
      const revealing = new Set(
        (await environments.datasets(op)).filter(({ reveals }) => reveals).map(({ name }) => name),
      );
      return ok({
        samples: samples.map((sample) => presentSample(sample, revealing.has(sample.dataset))),
        total_count: total,
        page: number,
        page_size: isPaged ? size : total,
        has_more: isPaged && number * size < total,
      } satisfies z.input<typeof SamplePage>);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/samples/:dataset/:sample_id/download',
    tag: TAG,
    summary: 'Download a sample as a tar.gz',
    description:
      'Its repository, what its image is built from, and sample.json; hidden tests and the solution only where the dataset shows them. Without `version` the latest.',
    access: 'account',
    scopes: READ,
    params: SampleParams,
    query: DownloadQuery,
    replies: { 200: { description: 'The archive', schema: Archive, contentType: 'application/gzip' } },
    handle: async (op, { params, query }) => {
      const wanted = { dataset: params.dataset, sampleId: params.sample_id, version: query.version };
      const { name, content } = await environments.download(
        op,
        wanted,
        (sample, reveals) => `${JSON.stringify(presentSample(sample, reveals), undefined, 2)}\n`,
      );
      const headers = { 'content-type': 'application/gzip', 'content-disposition': `attachment; filename="${name}"` };
      return { ...ok(content), headers };
    },
  }),
];
