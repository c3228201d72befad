import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import {
  BASE_IMAGE,
  DEFAULT_LIMITS,
  DEFAULT_VERIFY_SECONDS,
  MAX_VERIFY_SECONDS,
  NAME,
  repositoryPath,
  type SampleDraft,
  type SampleText,
} from '../sample.ts';
import { filesBelow, type BroughtFile } from '../tree.ts';
import { DOCKERFILE, type BroughtFolder } from './folder.ts';
import type { FolderTrees } from './harbor.ts';
import { testNames } from './lists.ts';
import { restored } from './swebench-files.ts';

/** Datasets write what is not known as null, as an empty string, or not at all. */
const word = z
  .union([z.string(), z.number()])
  .nullish()
  .transform((value) => String(value ?? ''));

const Line = z.looseObject({
  instance_id: z.string().regex(NAME),
  repo: word,
  base_commit: word,
  problem_statement: z.string(),
  version: word,
  patch: word,
  test_patch: word,
  hints_text: word,
  environment_setup_commit: word,
  language: z.string().nullish(),
  repo_language: z.string().nullish(),
  non_code_patch: word,
  difficulty: word,
  FAIL_TO_PASS: z.unknown().optional(),
  PASS_TO_PASS: z.unknown().optional(),
  FAIL_TO_FAIL: z.unknown().optional(),
});

const NO_REPOSITORY =
  'The format names a commit of a public repository and brings no files: import it with --repositories to have it run';

/** What a line may bring beside it: the repository at its commit, and what its tests become. */
const REPOSITORY = 'repo';
const SETUP = 'setup.sh';
const WORKDIR = '/testbed';
const RUNNER = readFileSync(join(import.meta.dirname, 'swebench-tests.py'));
const REPORTER = readFileSync(join(import.meta.dirname, 'swebench-report.py'));
/** The set-up may need the user's files and may make some. */
const RECIPE = `FROM base
COPY ${REPOSITORY} ${WORKDIR}
COPY ${SETUP} /tmp/${SETUP}
WORKDIR ${WORKDIR}
RUN chown -R user:user ${WORKDIR} && bash -e /tmp/${SETUP} && rm -f /tmp/${SETUP} && chown -R user:user ${WORKDIR}
`;

/**
 * One line of a SWE-bench JSONL file, with its repository where there is one. Throws `invalid` with what is wrong
 * about it.
 */
export function readSwebench(
  line: string,
  folder: BroughtFolder | undefined,
): { draft: SampleDraft; trees: FolderTrees | undefined } {
  const given = Line.safeParse(parse(line));
  if (!given.success) {
    const [issue] = given.error.issues;
    throw new AppError('invalid', `${issue?.path.join('.') || 'The line'} is missing or wrong`);
  }
  const { data } = given;
  const text = textOf(data);
  const trees = folder && treesOf(folder.files, text);
  const draft: SampleDraft = {
    sampleId: data.instance_id,
    format: 'swebench',
    text,
    recipe: {
      // With a set-up script an image is built.
      image: trees && trees.context.length === 0 ? BASE_IMAGE : undefined,
      workdir: trees ? WORKDIR : repositoryPath(data.instance_id),
      limits: DEFAULT_LIMITS,
      internet: false,
      grades: 'workspace',
      command: trees ? 'python3 -I /tests/run.py' : '',
      solve: trees && text.patch !== '' ? 'git apply --whitespace=nowarn /solution/gold.patch' : undefined,
      timeoutSeconds: trees ? MAX_VERIFY_SECONDS / 2 : DEFAULT_VERIFY_SECONDS,
      env: {},
      manifest: line.trim(),
    },
    notRunnable: problemOf(text, trees),
  };
  return { draft, trees };
}

function problemOf({ failToPass, passToPass }: SampleText, trees: FolderTrees | undefined): string | undefined {
  if (!trees) return NO_REPOSITORY;
  return failToPass.length + passToPass.length === 0 ? 'It names no tests' : undefined;
}

function treesOf(files: readonly BroughtFile[], text: SampleText): FolderTrees {
  const repository = filesBelow(files, REPOSITORY);
  if (repository.length === 0) throw new AppError('invalid', 'Its repository has no files');
  const setup = files.find(({ path }) => path === SETUP);
  const context = setup && [
    setup,
    fileOf(DOCKERFILE, RECIPE),
    ...repository.map((file) => ({ ...file, path: `${REPOSITORY}/${file.path}` })),
  ];
  return {
    workspace: setup ? [] : repository,
    tests: testsOf(files, repository, text),
    solution: text.patch === '' ? [] : [fileOf('gold.patch', text.patch)],
    context: context ?? [],
  };
}

function testsOf(files: readonly BroughtFile[], repository: readonly BroughtFile[], text: SampleText): BroughtFile[] {
  const names = [...text.failToPass, ...text.passToPass, ...text.failToFail];
  const { files: own, plan } = restored(files, repository, names);
  return [
    ...own.map((file) => ({ ...file, path: `files/${file.path}` })),
    fileOf('run.py', RUNNER),
    fileOf('report.py', REPORTER),
    fileOf('plan.json', JSON.stringify({ names, ...plan })),
  ];
}

const fileOf = (path: string, content: string | Buffer): BroughtFile => ({
  kind: 'file',
  path,
  executable: false,
  content: Buffer.from(content),
});

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
