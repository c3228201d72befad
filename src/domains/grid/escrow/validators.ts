import { AppError } from '../../../kernel/errors.ts';
import { isUuid, type NodeId } from '../../../kernel/ids.ts';
import { uuidv7 } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { findValidators, insertValidator, validatorsOf } from './validator-store.ts';

/** What a buyer has deliveries checked by, beside what their sellers promise. */
export type Validator = {
  id: string;
  nodeId: NodeId;
  name: string;
  type: ValidatorType;
  config: Record<string, unknown>;
  createdAt: Date;
};
export const VALIDATOR_TYPES = ['schema', 'regex', 'webhook'] as const;
export type ValidatorType = (typeof VALIDATOR_TYPES)[number];

export const MAX_VALIDATOR_NAME_LENGTH = 100;
const MAX_VALIDATORS = 20;
const MAX_CONFIG_LENGTH = 50_000;

export type NewValidator = Pick<Validator, 'name' | 'type' | 'config'>;

/** Throws `invalid` for a configuration that its type cannot use, and beyond the number that a node may have. */
export async function createValidator(world: EscrowWorld, op: NodeOp, wish: NewValidator): Promise<Validator> {
  refuseUseless(world, wish);
  const validator: Validator = { ...wish, id: uuidv7(op.now), nodeId: op.node.id, createdAt: op.now };
  const made = await world.db.transact((tx) => insertValidator(tx, validator, MAX_VALIDATORS));
  if (!made) throw new AppError('invalid', `Maximum ${MAX_VALIDATORS} validators per node`);
  return validator;
}

function refuseUseless({ fetch }: Pick<EscrowWorld, 'fetch'>, { type, config }: NewValidator): void {
  if (JSON.stringify(config).length > MAX_CONFIG_LENGTH)
    throw new AppError('invalid', `config has at most ${MAX_CONFIG_LENGTH} characters as JSON`);
  if (type === 'schema' && !isSchema(config.schema))
    throw new AppError('invalid', "Schema validators require a 'schema' key in config");
  if (type === 'regex' && typeof config.pattern !== 'string')
    throw new AppError('invalid', "Regex validators require a 'pattern' key in config");
  if (type !== 'webhook') return;
  const problem = typeof config.url === 'string' ? fetch.urlProblem(config.url) : 'must use https';
  if (problem === 'must use https') throw new AppError('invalid', 'Webhook validators require an HTTPS URL');
  if (problem !== undefined) throw new AppError('invalid', `The URL of a webhook validator ${problem}`);
}

const isSchema = (schema: unknown): boolean =>
  typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema));

/** Oldest first. */
export const listValidators = ({ db }: EscrowWorld, op: NodeOp): Promise<Validator[]> => validatorsOf(db, op.node.id);

/** Those of a node's validators that it names, each once. Throws `not_found` for what is none of its own. */
export async function ownValidators(db: Db, node: NodeId, ids: readonly string[]): Promise<string[]> {
  const wanted = [...new Set(ids.map((id) => id.toLowerCase()))];
  const found = await findValidators(db, wanted.filter(isUuid));
  const isOwn = (id: string) => found.get(id)?.nodeId === node;
  if (!wanted.every(isOwn)) throw new AppError('not_found', 'Validator not found');
  return wanted;
}
