import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import { DEFAULT_LIMITS, DEFAULT_VERIFY_SECONDS, type SampleDraft } from '../sample.ts';
import { filesBelow, textOf, type BroughtFile } from '../tree.ts';
import {
  imageProblem,
  languageOf,
  limitsWithin,
  patchIn,
  required,
  secondsWithin,
  taskName,
  testPatchOf,
  workdirOf,
  type BroughtFolder,
} from './folder.ts';
import { testNames } from './lists.ts';

const MB_PER_GB = 1_024;
const UNITS: Record<string, number> = { k: 1 / MB_PER_GB, m: 1, g: MB_PER_GB, t: MB_PER_GB * MB_PER_GB };

/** `4G`, `512M`, `4GiB`, in MiB. */
const amount = z
  .string()
  .regex(/^\d+(\.\d+)?\s*[kmgt](i?b)?$/i)
  .transform((text) => Number.parseFloat(text) * (UNITS[/[kmgt]/i.exec(text)?.[0].toLowerCase() ?? 'm'] ?? 1));

/** What we read of a task; formats grow, so everything else may be there, and wrong kinds of optional things may not. */
const Task = z.looseObject({
  task: z.looseObject({ name: z.string().optional(), description: z.string().optional() }).default({}),
  metadata: z
    .looseObject({
      language: z.string().optional(),
      repo: z.string().optional(),
      fail_to_pass: z.unknown().optional(),
      pass_to_pass: z.unknown().optional(),
      fail_to_fail: z.unknown().optional(),
      /** Ours: a task that needs no image of its own. */
      freehold: z
        .object({
          image: z.string().optional(),
          /** The folder that is the repository. */
          workspace: z.string().optional(),
          workdir: z.string().optional(),
          grades: z.enum(['workspace', 'disk']).optional(),
        })
        .default({}),
    })
    .prefault({}),
  verifier: z
    .looseObject({
      timeout_sec: z.number().positive().default(DEFAULT_VERIFY_SECONDS),
      env: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
    })
    .prefault({}),
  environment: z
    .looseObject({
      cpus: z.number().positive().default(DEFAULT_LIMITS.vcpus),
      memory_mb: z.number().positive().optional(),
      memory: amount.optional(),
      storage_mb: z.number().positive().optional(),
      storage: amount.optional(),
      allow_internet: z.boolean().default(false),
    })
    .prefault({}),
});
type Task = z.output<typeof Task>;

export const TASK_FILE = 'task.toml';
const SOLVE = 'solve.sh';
const VERIFY = 'test.sh';

export type FolderTrees = {
  workspace: BroughtFile[];
  tests: BroughtFile[];
  solution: BroughtFile[];
  context: BroughtFile[];
};

/** A task folder of Harbor. Throws `invalid` with what is wrong about it. */
export function readHarbor(folder: BroughtFolder): { draft: SampleDraft; trees: FolderTrees } {
  const manifest = required(folder, TASK_FILE);
  const task = read(manifest);
  const instruction = required(folder, 'instruction.md');
  const own = task.metadata.freehold;
  const context = filesBelow(folder.files, 'environment');
  const trees: FolderTrees = {
    workspace: own.workspace === undefined ? [] : filesBelow(folder.files, own.workspace),
    tests: filesBelow(folder.files, 'tests'),
    solution: filesBelow(folder.files, 'solution'),
    context,
  };
  if (!trees.tests.some(({ path }) => path === VERIFY)) throw new AppError('invalid', `It has no tests/${VERIFY}`);
  const { environment } = task;
  const memoryMb = environment.memory_mb ?? environment.memory ?? DEFAULT_LIMITS.memoryMb;
  const storageMb = environment.storage_mb ?? environment.storage ?? DEFAULT_LIMITS.diskGb * MB_PER_GB;
  const draft: SampleDraft = {
    sampleId: taskName(folder),
    format: 'harbor',
    text: { ...textsOf(folder, task, trees), problemStatement: instruction },
    recipe: {
      image: own.image,
      workdir: workdirOf(context, own.workdir),
      limits: limitsWithin(environment.cpus, memoryMb, storageMb),
      internet: environment.allow_internet,
      grades: own.grades ?? 'disk',
      command: `bash /tests/${VERIFY}`,
      solve: trees.solution.some(({ path }) => path === SOLVE) ? `bash /solution/${SOLVE}` : undefined,
      timeoutSeconds: secondsWithin(task.verifier.timeout_sec),
      env: Object.fromEntries(Object.entries(task.verifier.env).map(([name, value]) => [name, String(value)])),
      manifest,
    },
    notRunnable: imageProblem(context, own.image),
  };
  return { draft, trees };
}

function textsOf(folder: BroughtFolder, { task, metadata }: Task, trees: FolderTrees) {
  return {
    instanceId: taskName(folder),
    language: metadata.language ?? languageOf([...trees.workspace, ...trees.context]),
    repo: metadata.repo ?? task.name ?? folder.name,
    baseCommit: '',
    environmentSetupCommit: '',
    hintsText: textOf(folder.files, 'hints.md') ?? '',
    patch: patchIn(trees.solution),
    nonCodePatch: '',
    testPatch: testPatchOf(trees.tests, 'tests'),
    failToPass: testNames(metadata.fail_to_pass, 'fail_to_pass'),
    passToPass: testNames(metadata.pass_to_pass, 'pass_to_pass'),
    failToFail: testNames(metadata.fail_to_fail, 'fail_to_fail'),
    verifier: 'test_suite' as const,
    description: task.description,
    versionDescription: undefined,
  };
}

function read(manifest: string): Task {
  try {
    return Task.parse(parse(manifest));
  } catch (cause) {
    if (cause instanceof TomlError)
      throw new AppError('invalid', `${TASK_FILE} is not TOML: line ${cause.line}`, { cause });
    if (!(cause instanceof z.ZodError)) throw cause;
    const [issue] = cause.issues;
    throw new AppError('invalid', `${TASK_FILE}: ${issue?.path.join('.')} is wrong`, { cause });
  }
}
