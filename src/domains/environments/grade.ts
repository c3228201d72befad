import { createHash } from 'node:crypto';
import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import type { ExecOutcome } from '../machines/index.ts';
import type { Sha256 } from './blobs.ts';
import { MAX_REPORT_BYTES, readJunit, worse, type Outcome } from './junit.ts';
import { AGENT, asRoot, CLEAR_FOLDER, layOut, placeTree } from './lay-out.ts';
import { BASE_IMAGE, type Grading, type Sample } from './sample.ts';
import { resolutionOf, verdictOf, type Evidence } from './verdict.ts';
import type { GradingResult } from './verification.ts';
import type { EnvironmentsWorld } from './world.ts';

type Hands = Pick<EnvironmentsWorld, 'machines' | 'blobs' | 'log'>;

/** What is graded: an archive that is unpacked in a clean machine, a disk that one begins with, or the image alone. */
export type Work =
  | { kind: 'archive'; content(): Promise<AsyncIterable<Uint8Array>> }
  | { kind: 'disk'; snapshot: SnapshotId }
  | { kind: 'image' };

export type GradeRequest = {
  sample: Sample;
  grading: Grading;
  machineId: MachineId;
  accountId: AccountId;
  work: Work;
  /** Done by the agent's user before the tests come: a gold solution. */
  before?: ((op: Op, machineId: MachineId) => Promise<void>) | undefined;
};

export type Graded = { workspaceSha256: Sha256; testsSha256: Sha256; result: GradingResult };

const LEASE_MARGIN_MS = 15 * MINUTE;
/** A workspace that is larger is not graded. */
const MAX_WORKSPACE_BYTES = 2_000_000_000;
const MAX_TOLD_BYTES = 200_000;
const MAX_REPORTS = 50;
const MAX_REWARD_BYTES = 10_000;
const LOGS = '/logs/verifier';
const TESTS = '/tests';

/**
 * Nobody but root may become root here, so that what the work does as its user reaches neither the tests nor what they
 * report. `-f`: a machine may be without any of these.
 */
const SHUT = `
rm -f /etc/sudoers.d/user
cd /usr/bin && { chmod -f u-s sudo su newgrp chsh chfn passwd mount umount pkexec || true; }
`;
/** The tests and the place of their reports are made anew, whatever the work has put there: a link is not followed. */
const EMPTY = `set -e; rm -rf -- ${TESTS} ${LOGS}; mkdir -p ${LOGS} ${TESTS}; chmod 700 ${LOGS} ${TESTS}`;

/**
 * Grades work in a machine of its own, without network: nothing of what ran where it was made runs here, the tests
 * come when the work is in its place, and both they and their reports are root's alone. The machine is removed.
 */
export async function grade(hands: Hands, op: Op, request: GradeRequest): Promise<Graded> {
  const { sample, machineId } = request;
  const { recipe, trees } = sample;
  if (trees.tests === undefined) throw new AppError('conflict', 'The sample has no tests');
  try {
    await hands.machines.start(op, {
      id: machineId,
      accountId: request.accountId,
      purpose: `verification:${sample.sampleId}`,
      image: recipe.image ?? BASE_IMAGE,
      limits: recipe.limits,
      network: 'none',
      leaseMs: recipe.timeoutSeconds * SECOND + LEASE_MARGIN_MS,
      snapshot: request.work.kind === 'disk' ? request.work.snapshot : undefined,
    });
    const workspaceSha256 = await takeOver(hands, op, request);
    await request.before?.(op, machineId);
    await asRoot(hands, op, machineId, EMPTY, []);
    await placeTree(hands, op, machineId, trees.tests, TESTS);
    const outcome = await runVerifier(hands, op, request);
    const evidence = await evidenceOf(hands, op, machineId, outcome);
    const verdict = verdictOf(sample.text, request.grading, evidence);
    const resolution = sample.format === 'swebench' ? resolutionOf(sample.text, verdict.passes) : undefined;
    return { workspaceSha256, testsSha256: trees.tests, result: { ...verdict, ...toldOf(outcome), resolution } };
  } finally {
    await hands.machines.destroy({ ...op, signal: new AbortController().signal }, machineId).catch((error: unknown) =>
      // Its lease takes it away.
      hands.log.warn({ machineId, err: error }, 'a machine that graded could not be removed yet'),
    );
  }
}

/** Puts the work into its place; answers the hash of what is graded. */
async function takeOver(hands: Hands, op: Op, { sample, machineId, work }: GradeRequest): Promise<Sha256> {
  const { workdir } = sample.recipe;
  const hash = createHash('sha256');
  if (work.kind !== 'archive') {
    await layOut(hands, op, machineId, { ...sample, trees: { ...sample.trees, workspace: undefined } });
    const content = await hands.machines.downloadTree(op, machineId, workdir, { user: 'root' });
    for await (const chunk of hashing(content, hash)) void chunk;
    return hash.digest('hex');
  }
  const shut = sample.recipe.grades === 'workspace' ? SHUT : '';
  await asRoot(hands, op, machineId, shut + CLEAR_FOLDER, [workdir]);
  // As the user, who can write nowhere else, whatever the archive names.
  await hands.machines.uploadTree(op, machineId, workdir, hashing(await work.content(), hash), { user: AGENT });
  return hash.digest('hex');
}

async function* hashing(
  content: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > MAX_WORKSPACE_BYTES) throw new AppError('too_large', 'The workspace is too large to be graded');
    hash.update(chunk);
    yield chunk;
  }
}

async function runVerifier({ machines }: Hands, op: Op, { sample, machineId }: GradeRequest): Promise<ExecOutcome> {
  const { recipe } = sample;
  const outcome = await machines.exec(op, machineId, {
    command: recipe.command,
    cwd: recipe.workdir,
    user: 'root',
    // pytest, wherever it runs, reports what its exit code does not say.
    env: { PYTEST_ADDOPTS: `--junitxml=${LOGS}/pytest.xml`, ...recipe.env },
    timeoutMs: recipe.timeoutSeconds * SECOND,
    maxOutputBytes: MAX_TOLD_BYTES,
  });
  if (outcome.kind === 'lost' || outcome.kind === 'aborted')
    throw new AppError('conflict', 'The machine that graded has ended');
  return outcome;
}

const toldOf = (outcome: ExecOutcome): Pick<GradingResult, 'seconds' | 'timedOut' | 'stdout' | 'stderr'> => ({
  seconds: outcome.durationMs / SECOND,
  timedOut: outcome.kind === 'timeout',
  stdout: storable(outcome.stdout),
  stderr: storable(outcome.stderr),
});

/** A database's JSON holds no NUL. */
const storable = (bytes: Buffer): string => bytes.toString().replaceAll('\0', '\u{FFFD}').toWellFormed();

async function evidenceOf(hands: Hands, op: Op, machineId: MachineId, outcome: ExecOutcome): Promise<Evidence> {
  // A link or a pipe in this place was made by something that should not have: it is no report.
  const files = await hands.machines.listTree(op, machineId, LOGS, { user: 'root', depth: 1 }, ({ entries }) =>
    entries.filter(({ kind }) => kind === 'file').map(({ name }) => name),
  );
  const outcomes = new Map<string, Outcome>();
  for (const name of files.filter((file) => file.endsWith('.xml')).slice(0, MAX_REPORTS)) {
    const xml = await read(hands, op, machineId, name, MAX_REPORT_BYTES);
    for (const [test, one] of readJunit(xml)) outcomes.set(test, worse(outcomes.get(test), one));
  }
  const exitCode = outcome.kind === 'exited' ? outcome.exitCode : undefined;
  return { outcomes, reward: await rewardOf(hands, op, machineId, files), exitCode };
}

const read = ({ machines }: Hands, op: Op, id: MachineId, name: string, maxBytes: number): Promise<Buffer> =>
  machines.readFile(op, id, `${LOGS}/${name}`, { user: 'root', maxBytes });

/** `reward.txt` holds a number, `reward.json` one of the name `reward`. */
async function rewardOf(hands: Hands, op: Op, id: MachineId, files: readonly string[]): Promise<number | undefined> {
  if (files.includes('reward.txt')) {
    const text = (await read(hands, op, id, 'reward.txt', MAX_REWARD_BYTES)).toString().trim();
    return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  }
  if (!files.includes('reward.json')) return undefined;
  const text = (await read(hands, op, id, 'reward.json', MAX_REWARD_BYTES)).toString();
  return rewardIn(text);
}

function rewardIn(text: string): number {
  try {
    const { reward } = JSON.parse(text) as { reward?: unknown };
    return typeof reward === 'number' ? reward : 0;
  } catch {
    return 0; // a reward that cannot be read is none
  }
}
