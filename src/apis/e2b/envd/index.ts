import { createShares } from '../../../kernel/shares.ts';
import type { Method, RawAnswer, RawRequest, RawRoute } from '../../contract.ts';
import {
  MAX_HELD,
  MAX_SEARCHES,
  named,
  visit,
  visitFiles,
  visiting,
  type EnvdDomains,
  type EnvdWorld,
  type FilesWorld,
  type Visit,
} from './access.ts';
import { compose } from './compose.ts';
import { download } from './download.ts';
import { presentFileError, presentRpcError, RpcFailure, SandboxGone } from './failure.ts';
import { listDir, makeDir, move, remove, stat } from './filesystem.ts';
import { showEnvironment, showMetrics } from './look.ts';
import { closeStdin, list, sendInput, sendSignal, streamInput, update } from './process.ts';
import { connect, start } from './process-stream.ts';
import { MAX_OPEN } from './stream.ts';
import { upload } from './upload.ts';
import { watchDir } from './watch.ts';
import { createWatchers } from './watchers.ts';

export type { EnvdDomains } from './access.ts';

/**
 * The daemon that the E2B contract has in each sandbox, served by us for all of them: clauses 3 and 4 of the sheet. A
 * request names its sandbox in a header and opens it with the sandbox's token.
 */

const PREFIX = '/e2b/envd';

type Unary = (visit: Visit) => Promise<unknown>;
type Streaming = (visit: Visit) => Promise<RawAnswer>;
/** `unary`: what a call is answered. `streaming`: the answer itself. */
type Services = Record<string, { unary: Record<string, Unary>; streaming: Record<string, Streaming> }>;

const services = (watchers = createWatchers()): Services => ({
  'process.Process': {
    unary: {
      List: list,
      Update: update,
      SendInput: sendInput,
      CloseStdin: closeStdin,
      SendSignal: sendSignal,
      StreamInput: streamInput,
    },
    streaming: { Start: start, Connect: connect },
  },
  'filesystem.Filesystem': {
    unary: {
      Stat: stat,
      MakeDir: makeDir,
      Move: move,
      Remove: remove,
      CreateWatcher: watchers.create,
      GetWatcherEvents: watchers.events,
      RemoveWatcher: watchers.remove,
    },
    streaming: { ListDir: listDir, WatchDir: watchDir },
  },
});

export function envdRoutes(domains: EnvdDomains): RawRoute[] {
  const world: EnvdWorld = { ...domains, openStreams: createShares(MAX_OPEN), messages: createShares(MAX_HELD) };
  const files = filesAnswering({ ...world, searches: createShares(MAX_SEARCHES) });
  return [
    ...Object.entries(services()).map(([service, methods]) => rpcRoute(world, service, methods)),
    plain('GET', '/health', (_op, request) => health(world, request)),
    plain('GET', '/metrics', async (...asked) => json(await showMetrics(await visit(world, ...asked)))),
    plain('GET', '/envs', async (...asked) => json(showEnvironment(await visit(world, ...asked)))),
    plain('GET', '/files', files.read),
    plain('POST', '/files', files.write),
    plain('POST', '/files/compose', async (...asked) => json(await visiting(await visit(world, ...asked), compose))),
    // Signed URLs are made of this server's origin and nothing else: they name no sandbox.
    { method: 'GET', path: '/files', handle: files.read, presentError: presentFileError },
    { method: 'POST', path: '/files', handle: files.write, presentError: presentFileError },
  ];
}

type Handle = RawRoute['handle'];

const plain = (method: Method, path: string, handle: Handle): RawRoute => ({
  method,
  path: PREFIX + path,
  handle,
  presentError: presentFileError,
});

const filesAnswering = (world: FilesWorld): { read: Handle; write: Handle } => ({
  read: async (op, request, count) => download(await visitFiles(world, op, request, { operation: 'read', count })),
  write: async (op, request, count) => upload(await visitFiles(world, op, request, { operation: 'write', count })),
});

const rpcRoute = (world: EnvdWorld, service: string, { unary, streaming }: Services[string]): RawRoute => ({
  method: 'POST',
  path: `${PREFIX}/${service}/:method`,
  presentError: presentRpcError,
  async handle(op, request, count) {
    const name = request.params['method'] ?? '';
    const stream = Object.hasOwn(streaming, name) ? streaming[name] : undefined;
    const call = Object.hasOwn(unary, name) ? unary[name] : undefined;
    if (!stream && !call) throw new RpcFailure('unimplemented', `${service} has no method ${name}`);
    return visiting(await visit(world, op, request, count), async (guest) =>
      stream ? stream(guest) : json(await call?.(guest)),
    );
  },
});

export const json = (body: unknown): RawAnswer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** Asked without a token, to tell a sandbox that is gone from a connection that is bad. It wakes nothing. */
async function health(domains: EnvdDomains, request: RawRequest): Promise<RawAnswer> {
  const sandbox = await named(domains, request);
  if (sandbox.state !== 'running') throw new SandboxGone(sandbox.code);
  return { status: 204 };
}
