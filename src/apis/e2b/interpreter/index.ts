import { createShares } from '../../../kernel/shares.ts';
import type { Method, RawAnswer, RawRoute } from '../../contract.ts';
import { MAX_HELD, visiting } from '../envd/access.ts';
import { presentFileError, SandboxGone } from '../envd/failure.ts';
import { json } from '../envd/index.ts';
import { MAX_OPEN } from '../envd/stream.ts';
import { named49999, visitCode, type CodeVisit, type InterpreterDomains, type InterpreterWorld } from './access.ts';
import { createContext, listContexts, removeContext, restartContext } from './contexts.ts';
import { execute } from './execute.ts';

/**
 * What the E2B contract has at port 49999 of sandboxes of its code interpreter (clause 6 of the sheet), served by us for
 * all of them, as envd is: decision 0025. The proxy leads here; a request names its sandbox in a header.
 */

const PREFIX = '/e2b/code';
const DONE: RawAnswer = { status: 204 };

export function interpreterRoutes(domains: InterpreterDomains): RawRoute[] {
  const world: InterpreterWorld = {
    ...domains,
    openStreams: createShares(MAX_OPEN),
    messages: createShares(MAX_HELD),
  };
  const answering =
    (needsToken: boolean, answer: (visit: CodeVisit) => Promise<RawAnswer>): RawRoute['handle'] =>
    async (op, request, count) =>
      visiting(await visitCode(world, op, request, { count, needsToken }), answer);
  const about = (answer: (visit: CodeVisit) => Promise<RawAnswer>) => answering(false, answer);
  return [
    plain('GET', '/health', async (_op, request) => {
      const sandbox = await named49999(world, request);
      if (sandbox.state !== 'running') throw new SandboxGone(sandbox.code);
      return json('OK');
    }),
    plain('POST', '/execute', answering(true, execute)),
    plain(
      'GET',
      '/contexts',
      about(async (visit) => json(await listContexts(visit))),
    ),
    plain(
      'POST',
      '/contexts',
      about(async (visit) => json(await createContext(visit))),
    ),
    plain(
      'DELETE',
      '/contexts/:id',
      about(async (visit) => (await removeContext(visit), DONE)),
    ),
    plain(
      'POST',
      '/contexts/:id/restart',
      about(async (visit) => (await restartContext(visit), DONE)),
    ),
  ];
}

const plain = (method: Method, path: string, handle: RawRoute['handle']): RawRoute => ({
  method,
  path: PREFIX + path,
  handle,
  presentError: presentFileError,
});
