import { INTERPRETER_PORT, type CodePlace, type Sandboxes } from '../../../domains/sandboxes/index.ts';
import { AppError } from '../../../kernel/errors.ts';
import type { Op } from '../../../kernel/op.ts';
import type { CountRequest, RawRequest } from '../../contract.ts';
import {
  ACCESS_TOKEN,
  enter,
  headerOf,
  isSame,
  named,
  SANDBOX_LIMIT,
  type EnvdDomains,
  type EnvdWorld,
  type Visit,
} from '../envd/access.ts';
import { SandboxGone } from '../envd/failure.ts';
import { environment } from '../envd/process-stream.ts';
import { isOpen } from '../present.ts';

type Own = { sandboxes: EnvdDomains['sandboxes'] & Pick<Sandboxes, 'interpreter' | 'trafficToken'> };
export type InterpreterDomains = EnvdDomains & Own;
export type InterpreterWorld = EnvdWorld & Own;
/** One request to what runs code in one sandbox. */
export type CodeVisit = Visit & Own & { place: CodePlace };

/** Requests to one sandbox: each may start a process. */
const CODE_LIMIT = { ...SANDBOX_LIMIT, name: 'interpreter', max: 6_000 };
const TRAFFIC_TOKEN = 'e2b-traffic-access-token';

/** The sandbox that a request names. Throws `SandboxGone` where there is none that answers at this port. */
export async function named49999(domains: EnvdDomains, request: RawRequest) {
  const sandbox = await named(domains, request, INTERPRETER_PORT);
  if (!sandbox.interpreter) throw new SandboxGone(sandbox.code);
  return sandbox;
}

/**
 * Lets in whoever may. Code is run for those who have the sandbox's token. The stock client sends none to look after
 * contexts: there it has to fit where it is sent, and the port is as open as the others of the sandbox are.
 */
export async function visitCode(
  world: InterpreterWorld,
  op: Op,
  request: RawRequest,
  { count, needsToken }: { count: CountRequest; needsToken: boolean },
): Promise<CodeVisit> {
  const sandbox = await named49999(world, request);
  const token = headerOf(request, ACCESS_TOKEN);
  const fits = token !== undefined && isSame(token, world.sandboxes.accessToken(sandbox));
  if (!fits && (needsToken || token !== undefined)) throw new AppError('unauthenticated', 'Invalid access token');
  if (!fits && !isOpen(sandbox)) {
    const traffic = headerOf(request, TRAFFIC_TOKEN);
    if (traffic === undefined || !isSame(traffic, world.sandboxes.trafficToken(sandbox)))
      throw new AppError('forbidden', 'The traffic access token is missing or wrong');
  }
  await count(CODE_LIMIT, sandbox.code);
  const visit = await enter(world, op, request, sandbox);
  const { machineId } = visit.sandbox;
  return { ...visit, sandboxes: world.sandboxes, place: { machineId, env: environment(visit.sandbox) } };
}
