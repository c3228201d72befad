import type { z } from 'zod';
import type { ListedDataset, Sample } from '../../domains/environments/index.ts';
import type { DatasetShown } from './datasets.ts';
import type { SampleShown } from './samples.ts';

export const presentDataset = (dataset: ListedDataset): z.input<typeof DatasetShown> => ({
  name: dataset.name,
  description: dataset.description ?? null,
  sample_count: dataset.sampleCount,
  created_at: dataset.createdAt.toISOString(),
});

/** Solutions and tests are blank where the dataset keeps them to itself. */
export const presentSample = ({ text, ...sample }: Sample, reveals: boolean): z.input<typeof SampleShown> => ({
  sample_id: sample.sampleId,
  instance_id: text.instanceId,
  dataset: sample.dataset,
  language: text.language,
  repo: text.repo,
  base_commit: text.baseCommit,
  environment_setup_commit: text.environmentSetupCommit,
  problem_statement: text.problemStatement,
  hints_text: text.hintsText,
  patch: reveals ? text.patch : '',
  non_code_patch: reveals ? text.nonCodePatch : '',
  test_patch: reveals ? text.testPatch : '',
  fail_to_pass: text.failToPass,
  pass_to_pass: text.passToPass,
  fail_to_fail: text.failToFail,
  verifier: text.verifier,
  version: sample.version,
  latest: sample.latest,
  description: text.description ?? null,
  version_description: text.versionDescription ?? null,
  created_at: sample.createdAt.toISOString(),
  runnable: sample.state === 'offered',
  not_runnable_reason: sample.state === 'not_runnable' ? (sample.reason ?? null) : null,
});
