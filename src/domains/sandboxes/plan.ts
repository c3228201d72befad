import { AppError, isAppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { Usd } from '../../kernel/money.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { INTERPRETER_TEMPLATE, POOLED_LIMITS, type LimitsRequest, type Snapshot } from '../machines/index.ts';
import type { NewSandbox } from './index.ts';
import type { NewKept } from './kept.ts';
import { sizeOf } from './money.ts';
import { checkNetwork, checkProxy, OPEN_NETWORK, rulesOf, tidied } from './network.ts';
import {
  BOUNDS,
  checkEnv,
  checkLifecycle,
  checkMetadata,
  checkTimeout,
  MAX_NAME_LENGTH,
  MAX_TEMPLATE_LENGTH,
  type Lifecycle,
} from './sandbox.ts';
import { hadInterpreter } from './store.ts';
import type { SandboxesWorld } from './world.ts';

export const BASE_TEMPLATE = 'base';
/** What is given where nothing is asked for: such machines are kept ready. */
export const DEFAULT_LIMITS: Omit<LimitsRequest, 'pids'> = {
  vcpus: POOLED_LIMITS.vcpus,
  memoryMb: POOLED_LIMITS.memoryMb,
  diskGb: POOLED_LIMITS.diskGb,
};
const DEFAULT_LIFECYCLE: Lifecycle = { onTimeout: 'kill', keepMemory: true, autoResume: false };

/** What a sandbox's disk begins as. */
export type Source = { kind: 'base' } | { kind: 'image'; image: string } | { kind: 'snapshot'; snapshot: Snapshot };

/** What is to be made, with everything decided and allowed. */
export type Plan = {
  source: Source;
  limits: LimitsRequest;
  hourly: Usd;
  what: Pick<
    NewKept,
    | 'name'
    | 'origin'
    | 'template'
    | 'interpreter'
    | 'limits'
    | 'metadata'
    | 'env'
    | 'lifecycle'
    | 'network'
    | 'timeoutMs'
    | 'size'
  >;
};

/** Throws `invalid` for what cannot be a sandbox and `not_found` for a template that is not there. */
export async function planOf(world: SandboxesWorld, op: AccountOp, request: NewSandbox): Promise<Plan> {
  const { name, origin, template = BASE_TEMPLATE, timeoutMs, metadata = {}, env = {} } = request;
  const lifecycle = { ...DEFAULT_LIFECYCLE, ...request.lifecycle };
  const network = tidied({ ...OPEN_NETWORK, ...request.network });
  if (name !== undefined && name.length > MAX_NAME_LENGTH)
    throw new AppError('invalid', `name must be at most ${MAX_NAME_LENGTH} characters`);
  if (timeoutMs !== undefined) checkTimeout(timeoutMs);
  checkMetadata(metadata);
  checkEnv(env);
  checkLifecycle(lifecycle);
  checkNetwork(network);
  await checkProxy(world.machines, network);
  const source = await sourceOf(world, op, template);
  const limits = limitsOf(request, source);
  const size = sizeOf(limits);
  if (!size) throw new AppError('invalid', 'A sandbox of this size has no price');
  return {
    source,
    limits,
    hourly: size.hourly,
    what: {
      name,
      origin,
      template,
      interpreter: await interprets(world, template, source),
      // How many processes it may have is the machine's to say.
      limits: { ...limits, pids: limits.pids ?? 0 },
      metadata,
      env,
      lifecycle,
      network,
      timeoutMs,
      size: size.name,
    },
  };
}

/** What is in a machine's disk of the interpreter is nothing: it is the platform's, and goes with the name. */
const interprets = async ({ db }: SandboxesWorld, template: string, source: Source): Promise<boolean> =>
  template === INTERPRETER_TEMPLATE || (source.kind === 'snapshot' && hadInterpreter(db, source.snapshot.machineId));

async function sourceOf({ machines, images }: SandboxesWorld, op: AccountOp, template: string): Promise<Source> {
  if (template === BASE_TEMPLATE || template === INTERPRETER_TEMPLATE) return { kind: 'base' };
  if (template === '' || template.length > MAX_TEMPLATE_LENGTH) throw noTemplate(template);
  const id = parseId('snapshot', template);
  if (id)
    return {
      kind: 'snapshot',
      snapshot: await machines.getSnapshot(op, id).catch((error) => missing(error, template)),
    };
  const { rows } = await machines.listSnapshots(op, { name: template, limit: 1 });
  if (rows[0]) return { kind: 'snapshot', snapshot: rows[0] };
  const image = await images.resolve(op.actor.accountId, template).catch((error) => missing(error, template));
  return { kind: 'image', image };
}

const noTemplate = (template: string, cause?: unknown): AppError =>
  new AppError('not_found', `Template not found: ${template.slice(0, MAX_TEMPLATE_LENGTH)}`, { cause });

function missing(error: unknown, template: string): never {
  if (isAppError(error, 'not_found')) throw noTemplate(template, error);
  throw error;
}

/** Whether a machine that is kept ready will do. */
export const isUsual = ({ source, limits, what }: Plan): boolean =>
  source.kind === 'base' &&
  rulesOf(what.network) === undefined &&
  limits.vcpus === POOLED_LIMITS.vcpus &&
  limits.memoryMb === POOLED_LIMITS.memoryMb &&
  limits.diskGb === POOLED_LIMITS.diskGb;

/** Its own, or those of the machine whose snapshot it is, or the usual ones. */
function limitsOf(request: NewSandbox, source: Source): LimitsRequest {
  if (!request.limits) return source.kind === 'snapshot' ? source.snapshot.limits : DEFAULT_LIMITS;
  const limits = request.limits;
  for (const name of ['vcpus', 'memoryMb', 'diskGb'] as const) {
    const { least, most } = BOUNDS[name];
    if (!(limits[name] >= least && limits[name] <= most))
      throw new AppError('invalid', `${name} must be from ${least} to ${most}`);
  }
  return limits;
}
