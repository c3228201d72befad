import { parse, YAMLError } from 'yaml';
import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import { DEFAULT_LIMITS, DEFAULT_VERIFY_SECONDS, type SampleDraft } from '../sample.ts';
import { filesBelow, textOf } from '../tree.ts';
import {
  imageProblem,
  languageOf,
  secondsWithin,
  taskName,
  testPatchOf,
  workdirOf,
  required,
  type BroughtFolder,
} from './folder.ts';
import type { FolderTrees } from './harbor.ts';

const Task = z.looseObject({
  instruction: z.string().min(1),
  difficulty: z.string().nullish(),
  category: z.string().nullish(),
  max_test_timeout_sec: z.number().positive().nullish(),
});

export const TASK_FILE = 'task.yaml';
const VERIFY = 'run-tests.sh';
const SOLVE = 'solution.sh';
const FILES_OF_SOLUTIONS = new Set([SOLVE, 'solution.yaml']);

/** A task folder of Terminal-Bench's first form. Throws `invalid` with what is wrong about it. */
export function readTerminalBench(folder: BroughtFolder): { draft: SampleDraft; trees: FolderTrees } {
  const manifest = required(folder, TASK_FILE);
  const task = read(manifest);
  required(folder, VERIFY);
  const trees = treesOf(folder);
  const hasSolution = textOf(folder.files, SOLVE) !== undefined;
  const draft: SampleDraft = {
    sampleId: taskName(folder),
    format: 'terminal-bench',
    text: {
      instanceId: taskName(folder),
      language: languageOf(trees.context),
      repo: folder.name,
      baseCommit: '',
      environmentSetupCommit: '',
      problemStatement: task.instruction,
      hintsText: '',
      patch: '',
      nonCodePatch: '',
      testPatch: testPatchOf(trees.tests, 'tests'),
      failToPass: [],
      passToPass: [],
      failToFail: [],
      verifier: 'test_suite',
      description: [task.category, task.difficulty].filter(Boolean).join(', ') || undefined,
      versionDescription: undefined,
    },
    recipe: {
      image: undefined,
      workdir: workdirOf(trees.context, undefined),
      limits: DEFAULT_LIMITS,
      internet: true,
      grades: 'disk',
      command: `bash /tests/${VERIFY}`,
      solve: hasSolution ? `bash /solution/${SOLVE}` : undefined,
      timeoutSeconds: secondsWithin(task.max_test_timeout_sec ?? DEFAULT_VERIFY_SECONDS),
      env: { TEST_DIR: '/tests' },
      manifest,
    },
    notRunnable: imageProblem(trees.context, undefined),
  };
  return { draft, trees };
}

/** The parts lie beside each other in one folder. */
function treesOf({ files }: BroughtFolder): FolderTrees {
  const tests = filesBelow(files, 'tests').filter(({ path }) => path !== VERIFY);
  const verifier = files.filter(({ path }) => path === VERIFY);
  const solution = files.filter(({ path }) => FILES_OF_SOLUTIONS.has(path));
  const apart = new Set([TASK_FILE, VERIFY, ...FILES_OF_SOLUTIONS]);
  return {
    workspace: [],
    tests: [...tests, ...verifier],
    solution,
    context: files.filter(({ path }) => !apart.has(path) && !path.startsWith('tests/')),
  };
}

function read(manifest: string): z.output<typeof Task> {
  try {
    return Task.parse(parse(manifest));
  } catch (cause) {
    // Beside its own errors it throws plain ones for documents that unfold without end.
    if (cause instanceof YAMLError || cause instanceof ReferenceError)
      throw new AppError('invalid', `${TASK_FILE} is not YAML`, { cause });
    if (!(cause instanceof z.ZodError)) throw cause;
    const [issue] = cause.issues;
    throw new AppError('invalid', `${TASK_FILE}: ${issue?.path.join('.') || 'the document'} is wrong`, { cause });
  }
}
