import type { Id } from '../../kernel/ids.ts';
import type { Sha256 } from './blobs.ts';

export type SampleId = Id<'sample'>;
export type Format = 'swebench' | 'harbor' | 'terminal-bench';

/** `strict`: exactly the expected tests pass and fail. `subset`: those that must pass do, whatever else there is. */
export type Grading = 'strict' | 'subset';

export type Dataset = {
  name: string;
  description: string | undefined;
  grading: Grading;
  /** Whether hidden tests and gold solutions are shown to everybody. */
  reveals: boolean;
  createdAt: Date;
};

export type ListedDataset = Dataset & { sampleCount: number };

/**
 * `unchecked`: its gold solution and its empty one were not yet run. `offered`: they were, and it tells them apart.
 * `rejected`: it does not. `not_runnable`: kept and shown, with the reason why nothing can be run.
 */
export type SampleState = 'unchecked' | 'offered' | 'rejected' | 'not_runnable';
export type Verifier = 'test_suite' | 'static_analysis' | 'linter' | 'custom';

/** What a sample says of itself. */
export type SampleText = {
  instanceId: string;
  language: string;
  repo: string;
  baseCommit: string;
  environmentSetupCommit: string;
  problemStatement: string;
  hintsText: string;
  patch: string;
  nonCodePatch: string;
  testPatch: string;
  failToPass: string[];
  passToPass: string[];
  failToFail: string[];
  verifier: Verifier;
  description: string | undefined;
  versionDescription: string | undefined;
};

/** The hashes of the trees that a sample is made of; each is in the store, and is put into machines only. */
export type SampleTrees = {
  /** What the agent works on. */
  workspace: Sha256 | undefined;
  /** Hidden tests and their verifier. */
  tests: Sha256 | undefined;
  solution: Sha256 | undefined;
  /** What an image is built from. */
  context: Sha256 | undefined;
};

/** How a sample is run and graded. */
export type Recipe = {
  /** Key of an image that there is; undefined where one had to be built from the context first. */
  image: string | undefined;
  /** Where the workspace is in the machine, and where commands begin. */
  workdir: string;
  limits: { vcpus: number; memoryMb: number; diskGb: number };
  internet: boolean;
  /**
   * What is taken over into the machine that grades: the workspace alone, or the whole disk for tasks whose result is
   * a system and not a repository.
   */
  grades: 'workspace' | 'disk';
  /** Run by root in the working directory, from `/tests`. */
  command: string;
  /** The oracle's command, run from `/solution`; undefined where there is no gold solution. */
  solve: string | undefined;
  timeoutSeconds: number;
  env: Record<string, string>;
  /** The unchanged files of the format, for whoever wants to read what the import did not use. */
  manifest: string;
};

/** A sample as an import has read it, before anything is kept. */
export type SampleDraft = {
  sampleId: string;
  format: Format;
  text: SampleText;
  recipe: Recipe;
  /** Why it cannot be run; undefined where it can. */
  notRunnable: string | undefined;
};

export type Sample = Omit<SampleDraft, 'notRunnable'> & {
  id: SampleId;
  dataset: string;
  version: number;
  latest: boolean;
  trees: SampleTrees;
  state: SampleState;
  reason: string | undefined;
  createdAt: Date;
  checkedAt: Date | undefined;
};

/** Names stand in paths and in URLs. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
export const MAX_TEXT_BYTES = 4_000_000;
export const MAX_TESTS = 50_000;
export const MAX_TEST_NAME_LENGTH = 1_000;
export const BASE_IMAGE = 'base';
export const DEFAULT_LIMITS: Recipe['limits'] = { vcpus: 2, memoryMb: 2_048, diskGb: 4 };
export const DEFAULT_VERIFY_SECONDS = 600;
export const MAX_VERIFY_SECONDS = 3_600;

/** Where the repository of an instance is: `owner__name-12` is at `/name`. */
export function repositoryPath(instanceId: string): string {
  const cut = instanceId.lastIndexOf('-');
  const whole = cut > 0 ? instanceId.slice(0, cut) : instanceId;
  const name = whole.split('__').at(-1) ?? whole;
  return `/${NAME.test(name) ? name : 'workspace'}`;
}
