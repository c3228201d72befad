import type { Op } from '../../kernel/op.ts';

/**
 * Work that is done later, by whichever process is free. A job is a nudge: what is to be done and when stands in the
 * domain's own rows, `run` reads it there, does what is due, and does nothing where nothing is. It may run twice, also
 * at the same time, and it may run although nothing changed.
 */
export type JobDefinition<Data extends object> = {
  /** Reads as domain and verb: `webhooks.deliver`. Also the name of its queue. */
  name: string;
  run(op: Op, data: Data): Promise<void>;
  /** Jobs of one key are run one after the other, and of those that wait only the newest is kept. */
  key?(data: Data): string;
  /** How many one process runs at the same time. */
  concurrency?: number;
  /**
   * A `moment` is awaited when the server stops and when a test moves the clock. What is `long` is told at once to
   * stop (by `op.signal`) and is taken up by another process.
   */
  lasts?: 'moment' | 'long';
  /** After this time `op.signal` is aborted and the job counts as failed. */
  timeoutSeconds?: number;
  /** How often a failed run is repeated before the job goes to the dead letters. */
  retryLimit?: number;
};

/** What `enqueue` needs to know of a job; a domain's verbs need no more. */
export type JobReference<Data extends object> = Pick<JobDefinition<Data>, 'name' | 'key'>;

/** A definition of any data: `never` stands for "only the queue knows". */
export type AnyJob = JobDefinition<never>;

/**
 * A repair loop: finds everything of one kind that is due by the platform's clock and does it. It takes no input, one
 * process at a time runs it, and it can be repeated at any moment.
 */
export type SweepDefinition = {
  name: string;
  everySeconds: number;
  /** Does a batch of what is due and answers how much that was; it is called again until it answers 0. */
  runDue(op: Op): Promise<number>;
};

export const defineJob = <Data extends object>(definition: JobDefinition<Data>): JobDefinition<Data> => definition;
export const defineSweep = (definition: SweepDefinition): SweepDefinition => definition;

/** Does all parts of a sweep. What fails in one keeps no other from its turn; the first failure is thrown after them. */
export async function allParts(parts: readonly (() => Promise<number>)[]): Promise<number> {
  let done = 0;
  const failures: unknown[] = [];
  for (const part of parts) done += await part().catch((error: unknown) => failures.push(error) && 0);
  if (failures.length > 0) throw failures[0];
  return done;
}
