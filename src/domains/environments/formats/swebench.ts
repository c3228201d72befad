import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import {
  DEFAULT_LIMITS,
  DEFAULT_VERIFY_SECONDS,
  NAME,
  repositoryPath,
  type SampleDraft,
  type SampleText,
} from '../sample.ts';
import { testNames } from './lists.ts';

/** Datasets write what is not known as null, as an empty string, or not at all. */
const text = z
  .union([z.string(), z.number()])
  .nullish()
  .transform((value) => String(value ?? ''));

const Line = z.looseObject({
  instance_id: z.string().regex(NAME),
  repo: text,
  base_commit: text,
  problem_statement: z.string(),
  version: text,
  patch: text,
  test_patch: text,
  hints_text: text,
  environment_setup_commit: text,
  language: z.string().nullish(),
  repo_language: z.string().nullish(),
  non_code_patch: text,
  difficulty: text,
  FAIL_TO_PASS: z.unknown().optional(),
  PASS_TO_PASS: z.unknown().optional(),
  FAIL_TO_FAIL: z.unknown().optional(),
});

const NO_REPOSITORY =
  'The format names a commit of a public repository and brings no files: there is no image to run it in';

/** One line of a SWE-bench JSONL file. Throws `invalid` with what is wrong about it. */
export function readSwebench(line: string): SampleDraft {
  const given = Line.safeParse(parse(line));
  if (!given.success) {
    const [issue] = given.error.issues;
    throw new AppError('invalid', `${issue?.path.join('.') || 'The line'} is missing or wrong`);
  }
  const { data } = given;
  return {
    sampleId: data.instance_id,
    format: 'swebench',
    text: textOf(data),
    recipe: {
      image: undefined,
      workdir: repositoryPath(data.instance_id),
      limits: DEFAULT_LIMITS,
      internet: false,
      grades: 'workspace',
      command: '',
      solve: undefined,
      timeoutSeconds: DEFAULT_VERIFY_SECONDS,
      env: {},
      manifest: line.trim(),
    },
    notRunnable: NO_REPOSITORY,
  };
}

const textOf = (data: z.output<typeof Line>): SampleText => ({
  instanceId: data.instance_id,
  language: data.language ?? data.repo_language ?? 'python',
  repo: data.repo,
  baseCommit: data.base_commit,
  environmentSetupCommit: data.environment_setup_commit,
  problemStatement: data.problem_statement,
  hintsText: data.hints_text,
  patch: data.patch,
  nonCodePatch: data.non_code_patch,
  testPatch: data.test_patch,
  failToPass: testNames(data.FAIL_TO_PASS, 'FAIL_TO_PASS'),
  passToPass: testNames(data.PASS_TO_PASS, 'PASS_TO_PASS'),
  failToFail: testNames(data.FAIL_TO_FAIL, 'FAIL_TO_FAIL'),
  verifier: 'test_suite',
  description: data.difficulty === '' ? undefined : `Difficulty: ${data.difficulty}`,
  versionDescription: data.version === '' ? undefined : data.version,
});

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new AppError('invalid', 'The line is not JSON', { cause });
  }
}
