import { AppError } from '../../kernel/errors.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { after, DAY, HOUR, MINUTE, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { defineJob, defineSweep, type JobDefinition, type SweepDefinition } from '../../platform/jobs/index.ts';
import { openBlobs } from './blobs.ts';
import { checkSample } from './check.ts';
import {
  countShown,
  findDataset,
  listDatasets,
  listShown,
  resetChecks,
  summarize,
  type SampleFilter,
  type SampleSummary,
} from './dataset-store.ts';
import { diff } from './diff.ts';
import { download, type Download } from './download.ts';
import { carryOut, exec, type CommandRequest } from './exec.ts';
import { follow, type Followed } from './follow.ts';
import { importSamples, openDataset, removeUnused, type Brought, type ImportResult } from './import.ts';
import type { Interaction, Stream } from './interaction.ts';
import { CHECK, EXEC, REMOVE, START, VERIFY } from './job-names.ts';
import { close, extend } from './life.ts';
import { fork, open, type SessionRequest } from './open.ts';
import { ownInteraction, ownSession, ownVerification } from './policy.ts';
import { replace, type Replaced, type ReplaceRequest } from './replace.ts';
import type { Dataset, ListedDataset, Sample, SampleId } from './sample.ts';
import type { Session, SessionId } from './session.ts';
import { numberedSessions } from './session-store.ts';
import { start } from './start.ts';
import { importStarter } from './starter.ts';
import { removeMachine } from './remove.ts';
import { removeLeft, tend } from './tend.ts';
import { carryOutVerification, verify } from './verify.ts';
import type { Verification } from './verification.ts';
import type { EnvironmentsWorld } from './world.ts';

export type { SampleFilter, SampleSummary } from './dataset-store.ts';
export type { Download } from './download.ts';
export type { CommandRequest } from './exec.ts';
export type { Followed } from './follow.ts';
export type { BroughtFolder } from './formats/folder.ts';
export type { Brought, ImportResult } from './import.ts';
export { DEFAULT_COMMAND_SECONDS, MAX_COMMAND_LENGTH, MAX_COMMAND_SECONDS, messageOf } from './interaction.ts';
export type { Interaction, InteractionId, Stream } from './interaction.ts';
export type { SessionRequest } from './open.ts';
export type { Replaced, ReplaceRequest } from './replace.ts';
export { NAME, type Dataset, type Format, type Grading, type ListedDataset, type Sample } from './sample.ts';
export {
  DEFAULT_TTL_MINUTES,
  durationMs,
  hasEnded,
  LARGE,
  MAX_TTL_MINUTES,
  MIN_TTL_MINUTES,
  STANDARD,
  type Session,
  type SessionId,
  type SessionState,
} from './session.ts';
export type { BroughtFile } from './tree.ts';
export type { GradingResult, Verification, VerificationId } from './verification.ts';

export type EnvironmentsOptions = Omit<EnvironmentsWorld, 'blobs'> & {
  /** Where contents of samples are kept. */
  dir: string;
};

export type NumberedSamples = { samples: Sample[]; total: number };
export type NumberedSessions = { sessions: Session[]; total: number };

/**
 * Datasets of samples, the sessions in which agents work on them, and the grading of that work. Beside what the verbs
 * say, each throws `not_found` for what is not the caller's.
 */
export type Environments = {
  datasets(op: Op): Promise<ListedDataset[]>;
  /** Shown samples by dataset and name; all of them where no page is asked for. */
  samples(op: Op, filter: SampleFilter, page?: { limit: number; offset: number }): Promise<NumberedSamples>;
  /** Whether hidden parts of a dataset's samples are shown. */
  dataset(op: Op, name: string): Promise<Dataset>;
  download(
    op: AccountOp,
    name: { dataset: string; sampleId: string; version?: number | undefined },
    about: (sample: Sample, reveals: boolean) => string,
  ): Promise<Download>;

  openDataset(
    op: Op,
    name: string,
    about: Partial<Pick<Dataset, 'description' | 'grading' | 'reveals'>>,
  ): Promise<Dataset>;
  /** Keeps a content that an import will name. */
  keepContent(op: Op, content: AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }>;
  importSamples(op: Op, dataset: string, brought: readonly Brought[]): Promise<ImportResult[]>;
  /** Every sample of a dataset and what became of it. */
  summary(op: Op, dataset: string): Promise<SampleSummary[]>;
  /** Has samples checked once more that are not offered; answers how many. */
  recheck(op: Op, dataset: string): Promise<number>;
  /** Takes in the dataset that comes with this program; once is enough, more does no harm. */
  takeInStarter(op: Op): Promise<ImportResult[]>;

  open(op: AccountOp, request: SessionRequest): Promise<Session>;
  fork(op: AccountOp, id: string, request: { ttlMinutes: number }): Promise<Session>;
  session(op: AccountOp, id: string): Promise<Session>;
  /** Some of the caller's sessions, newest first, and how many there are in all. */
  sessions(op: AccountOp, page: { limit: number; offset: number }): Promise<NumberedSessions>;
  extend(op: AccountOp, id: string, minutes: number): Promise<Session>;
  close(op: AccountOp, id: string): Promise<Session>;
  /** Where machines of sessions are, by the session; of one that has none there is nothing. */
  placesOf(op: AccountOp, sessions: readonly Session[]): Promise<ReadonlyMap<SessionId, string>>;
  diff(op: AccountOp, id: string): Promise<Buffer>;

  exec(op: AccountOp, id: string, request: CommandRequest): Promise<Interaction>;
  interaction(op: AccountOp, sessionId: string, id: string): Promise<Interaction>;
  follow(
    op: AccountOp,
    names: { sessionId: string; id: string },
    from: Record<Stream, number>,
  ): Promise<AsyncGenerator<Followed>>;
  replace(op: AccountOp, id: string, request: ReplaceRequest): Promise<Replaced>;

  verify(op: AccountOp, id: string): Promise<{ session: Session; verification: Verification }>;
  verification(
    op: AccountOp,
    sessionId: string,
    id: string,
  ): Promise<{ session: Session; verification: Verification; reveals: boolean }>;

  jobs: readonly JobDefinition<never>[];
  sweeps: readonly SweepDefinition[];
};

export function createEnvironments({ dir, ...options }: EnvironmentsOptions): Environments {
  const world: EnvironmentsWorld = { ...options, blobs: openBlobs(dir) };
  const { db, jobs, blobs } = world;
  const requestCheck = (tx: Tx, id: SampleId) => jobs.enqueue(tx, CHECK, { sampleId: id });
  const importing = { db, blobs, requestCheck };
  const dataset = async (name: string) => {
    const found = await findDataset(db, name);
    if (!found) throw new AppError('not_found', 'Dataset not found');
    return found;
  };
  return {
    datasets: () => listDatasets(db),
    samples: async (_op, filter, page) => ({
      samples: await listShown(db, filter, page),
      total: await countShown(db, filter),
    }),
    dataset: (_op, name) => dataset(name),
    download: (_op, name, about) => download(world, name, about),

    openDataset: (op, name, about) => openDataset(db, op, name, about),
    keepContent: (_op, content) => blobs.putStream(upTo(content, MAX_CONTENT_BYTES)),
    importSamples: async (op, name, brought) => {
      await dataset(name);
      return importSamples(importing, op, name, brought);
    },
    summary: async (_op, name) => summarize(db, (await dataset(name)).name),
    recheck: async (_op, name) => {
      await dataset(name);
      return db.transact(async (tx) => {
        const ids = await resetChecks(tx, name);
        for (const id of ids) await requestCheck(tx, id);
        return ids.length;
      });
    },
    takeInStarter: (op) => importStarter(importing, op),

    ...sessionVerbs(world),
    jobs: jobsOf(world),
    sweeps: sweepsOf(world),
  };
}

/** One file of a sample. */
const MAX_CONTENT_BYTES = 2_000_000_000;

async function* upTo(content: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > most) throw new AppError('too_large', `A file has at most ${most} bytes`);
    yield chunk;
  }
}

type SessionVerbs = Omit<
  Environments,
  | 'datasets'
  | 'samples'
  | 'dataset'
  | 'download'
  | 'openDataset'
  | 'keepContent'
  | 'importSamples'
  | 'summary'
  | 'recheck'
  | 'takeInStarter'
  | 'jobs'
  | 'sweeps'
>;

function sessionVerbs(world: EnvironmentsWorld): SessionVerbs {
  const { db, machines } = world;
  return {
    open: (op, request) => open(world, op, request),
    fork: (op, id, request) => fork(world, op, id, request),
    session: (op, id) => ownSession(db, op, id),
    sessions: (op, page) => numberedSessions(db, op.actor.accountId, page),
    extend: (op, id, minutes) => extend(world, op, id, minutes),
    close: (op, id) => close(world, op, id),
    placesOf: async (op, sessions) => {
      const started = sessions.filter(({ readyAt }) => readyAt);
      const known = await machines.getAll(
        op,
        started.map(({ machineId }) => machineId),
      );
      const placed = ({ id, machineId }: Session): [SessionId, string][] => {
        const machine = known.get(machineId);
        return machine ? [[id, machine.place]] : [];
      };
      return new Map(started.flatMap(placed));
    },
    diff: (op, id) => diff(world, op, id),

    exec: (op, id, request) => exec(world, op, id, request),
    interaction: (op, sessionId, id) => ownInteraction(db, op, sessionId, id),
    follow: (op, names, from) => follow(world, op, names, from),
    replace: (op, id, request) => replace(world, op, id, request),

    verify: async (op, id) => ({ verification: await verify(world, op, id), session: await ownSession(db, op, id) }),
    verification: async (op, sessionId, id) => {
      const found = await ownVerification(db, op, sessionId, id);
      return { ...found, reveals: (await findDataset(db, found.session.dataset))?.reveals ?? false };
    },
  };
}

const STARTS = 8;
const COMMANDS = 128;
/** Each is a machine that works as hard as it can; more at a time would only make all of them slow. */
const GRADINGS = 4;
const CHECKS = 2;
const CHECK_TIMEOUT_SECONDS = 3 * 60 * 60;
const START_TIMEOUT_SECONDS = 240;
/** No import writes on one content for longer. */
const DRAFTS_LIVE_MS = DAY;

const jobsOf = (world: EnvironmentsWorld): JobDefinition<never>[] => [
  defineJob({
    ...START,
    concurrency: STARTS,
    timeoutSeconds: START_TIMEOUT_SECONDS,
    run: (op, { sessionId }) => start(world, op, sessionId),
  }),
  defineJob({ ...REMOVE, run: (op, { sessionId }) => removeMachine(world, op, sessionId) }),
  defineJob({
    ...EXEC,
    lasts: 'long',
    concurrency: COMMANDS,
    run: (op, { interactionId }) => carryOut(world, op, interactionId),
  }),
  defineJob({
    ...VERIFY,
    lasts: 'long',
    concurrency: GRADINGS,
    run: (op, { verificationId }) => carryOutVerification(world, op, verificationId),
  }),
  defineJob({
    ...CHECK,
    lasts: 'long',
    concurrency: CHECKS,
    timeoutSeconds: CHECK_TIMEOUT_SECONDS,
    run: (op, { sampleId }) => checkSample(world, op, sampleId),
  }),
];

const sweepsOf = (world: EnvironmentsWorld): SweepDefinition[] => [
  defineSweep({ name: 'environments.tend', everySeconds: 2, runDue: (op) => tend(world, op) }),
  defineSweep({
    name: 'environments.remove-left',
    everySeconds: MINUTE / SECOND,
    runDue: (op) => removeLeft(world, op),
  }),
  defineSweep({
    name: 'environments.remove-drafts',
    everySeconds: HOUR / SECOND,
    runDue: (op) => world.blobs.removeDrafts(after(op.now, -DRAFTS_LIVE_MS)),
  }),
  defineSweep({
    name: 'environments.remove-unused',
    everySeconds: (6 * HOUR) / SECOND,
    runDue: (op) => removeUnused(world, op),
  }),
];
