import type { EscrowWorld } from './world.ts';
import type { Court, Heard } from './court.ts';
import type { Validation } from './decision.ts';
import {
  isMissing,
  PROOF_MISSING,
  promisesAnything,
  promisesOf,
  type Broken,
  type Case,
  type OwnCheck,
} from './promises.ts';
import { findValidators } from './validator-store.ts';
import type { Validator } from './validators.ts';

/** What judging stands on. */
export type Judging = Pick<EscrowWorld, 'db' | 'fetch'> & { court: Court };

/** A delivery, and what it is judged by. */
export type Delivered = { output: unknown; metadata: Record<string, unknown>; validatorIds: readonly string[] };

/** `clean` is paid, `broken` goes back to the buyer, and of `unclear` the operator decides. */
export type Judgement = {
  outcome: 'clean' | 'broken' | 'unclear';
  broken?: Broken;
  validations: Validation[];
};

const CLEAN: Judgement = { outcome: 'clean', validations: [] };

/** Judges deliveries by the rules, in their order. Nothing is written; a buyer's webhooks are asked. */
export async function judgeAll(world: Judging, all: readonly Delivered[]): Promise<Judgement[]> {
  const known = await findValidators(world.db, [...new Set(all.flatMap(({ validatorIds }) => validatorIds))]);
  const promised = await judgePromises(world.court, all);
  return Promise.all(
    all.map(async (delivered, n) => {
      const judged = promised[n] ?? CLEAN;
      const validators = delivered.validatorIds.flatMap((id) => known.get(id) ?? []);
      return judged.outcome === 'clean' && validators.length > 0
        ? judgeByBuyer(world, delivered.output, validators)
        : judged;
    }),
  );
}

/** By what the sellers promised. Most promise nothing but that something is delivered. */
async function judgePromises(court: Court, all: readonly Delivered[]): Promise<Judgement[]> {
  const judged = all.map(({ output, metadata }): Judgement | Case => {
    if (isMissing(output)) return { outcome: 'broken', broken: PROOF_MISSING, validations: [] };
    const promises = promisesOf(metadata);
    return promisesAnything(promises) ? { output, promises, own: [] } : CLEAN;
  });
  const heard = await court.hear(judged.filter(isCase));
  return judged.map((each) => (isCase(each) ? judgementOf(heard.shift()) : each));
}

const isCase = (each: Judgement | Case): each is Case => 'promises' in each;

function judgementOf(heard: Heard | undefined): Judgement {
  if (!heard || 'overran' in heard) {
    const details = { error: 'could not be judged', cause: heard?.overran ?? null };
    return { outcome: 'unclear', broken: { rule: 'VALIDATOR_FAILED', details }, validations: [] };
  }
  const { broken } = heard.verdict;
  return broken ? { outcome: 'broken', broken, validations: [] } : CLEAN;
}

/** By the buyer's own validators. One that cannot tell does not hold up the seller's money. */
async function judgeByBuyer(world: Judging, output: unknown, validators: readonly Validator[]): Promise<Judgement> {
  const own = validators.flatMap(ownCheck);
  const validations = await examine(world.court, output, own);
  // All at once: whoever answers slowly takes no longer than one.
  if (!failedOf(validations)) {
    const programs = validators.filter(({ type }) => type === 'webhook');
    validations.push(...(await Promise.all(programs.map((program) => ask(world, program, output)))));
  }
  const failed = failedOf(validations);
  if (!failed) return { outcome: 'clean', validations };
  const name = validators.find(({ id }) => id === failed.validatorId)?.name;
  const details = { validator_id: failed.validatorId, name, details: failed.details };
  return { outcome: 'broken', broken: { rule: 'VALIDATOR_FAILED', details }, validations };
}

const failedOf = (validations: readonly Validation[]) => validations.find(({ result }) => result === 'FAIL');

/** Up to the first that fails. They share one time: a buyer with twenty patterns holds up others no longer than with one. */
async function examine(court: Court, output: unknown, own: OwnCheck[]): Promise<Validation[]> {
  if (own.length === 0) return [];
  const [heard] = await court.hear([{ output, promises: { checks: [] }, own }]);
  if (heard && 'verdict' in heard)
    return heard.verdict.own.map(({ id, result, details }) => ({ validatorId: id, result, details }));
  return own.map(({ id }) => ({ validatorId: id, result: 'ERROR', details: { error: 'took too long' } }));
}

function ownCheck({ id, type, config }: Validator): OwnCheck[] {
  if (type === 'schema') return [{ id, type, schema: config.schema }];
  if (type !== 'regex' || typeof config.pattern !== 'string') return [];
  const { pattern, field } = config;
  return [{ id, type, pattern, ...(typeof field === 'string' && { field }) }];
}

/** Asks a buyer's own program. What gives no clear answer decides nothing. */
async function ask({ fetch }: Judging, { id, config }: Validator, output: unknown): Promise<Validation> {
  const reply = await fetch.send({
    url: String(config.url),
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ output }),
  });
  if (!reply.ok) return { validatorId: id, result: 'INCONCLUSIVE', details: { error: reply.reason } };
  if (reply.status !== 200) return { validatorId: id, result: 'INCONCLUSIVE', details: { http_status: reply.status } };
  return { validatorId: id, ...answerOf(reply.body) };
}

function answerOf(body: string): Pick<Validation, 'result' | 'details'> {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== 'object' || answer === null) return { result: 'INCONCLUSIVE', details: null };
    const { result, details = null } = answer as { result?: unknown; details?: unknown };
    const said = typeof result === 'string' ? result.toUpperCase() : '';
    return { result: said === 'PASS' || said === 'FAIL' ? said : 'INCONCLUSIVE', details };
  } catch {
    return { result: 'INCONCLUSIVE', details: { error: 'The answer is not JSON' } };
  }
}
