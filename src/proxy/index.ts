import type { Duplex } from 'node:stream';
import type { Answer } from '../apis/contract.ts';
import { INTERPRETER_PORT } from '../domains/sandboxes/index.ts';
import type { Clock } from '../kernel/time.ts';
import type { ClientAddress } from '../platform/client-address.ts';
import { answerOn, hasBody, type Forwarded, type Outcome, type Target } from '../platform/forward.ts';
import type { Front, IncomingMessage, RequestListener, ServerResponse } from '../platform/front.ts';
import { requestId } from '../platform/http.ts';
import { networkOf } from '../platform/limits.ts';
import type { Log } from '../platform/log.ts';
import { addressOf, ENVD_PORT, interpreterAt, type Address } from './address.ts';
import { toApplication, toClient, toProgram, type Client } from './headers.ts';
import { createLanes, type Lanes } from './lanes.ts';
import {
  passageTo,
  refusalFor,
  refusalOf,
  type ComputersBehind,
  type MachinesBehind,
  type SandboxesBehind,
  type Wanted,
} from './passage.ts';
import { crowded, refusalBody, unwell, type Refusal } from './refusal.ts';

export type { Refusal } from './refusal.ts';

export type ProxyOptions = {
  /** Below this name stand those of tenants' ports. */
  appsDomain: string;
  sandboxes: SandboxesBehind;
  compute: ComputersBehind;
  machines: MachinesBehind;
  clock: Clock;
  log: Log;
  clientOf: (request: IncomingMessage) => ClientAddress;
  /** Told of each visit when it is over. */
  visited?: (visit: { kind: 'request' | 'tunnel'; outcome: 'passed' | 'refused' | 'failed' }) => void;
  /** A refusal as a page for people. */
  page: (refusal: Refusal) => Answer;
};

/** What goes to tenants' ports, before the server's own routes see it. */
export type Proxy = Front & {
  /** Cuts tunnels at once and everything else after a while. */
  close(): Promise<void>;
};

/** How long answers under way may take when the process stops. */
const DRAIN_MS = 5_000;

export function createProxy(options: ProxyOptions): Proxy {
  const lanes = createLanes(options);
  const visits = new Map<Visitor, Promise<void>>();
  const addressedTo = (request: IncomingMessage): Address => addressOf(headOf(request), options.appsDomain);
  const begin = (request: IncomingMessage, wanted: Wanted, visitor: Visitor): void => {
    const visit = receive({ ...options, lanes }, request, wanted, visitor).finally(() => visits.delete(visitor));
    visits.set(visitor, visit);
  };
  return {
    takes: (request) => addressedTo(request).kind !== 'own',
    tunnels: (request) => isTenants(addressedTo(request)) && !hasBody(request),
    serve(request, response, routes) {
      const address = addressedTo(request);
      if (address.kind === 'envd') return toRoutes(request, response, { ...address, port: ENVD_PORT }, routes);
      if (!isTenants(address)) return;
      const visitPort = () => begin(request, address, onResponse(request, response, options));
      const code = interpreterAt(address);
      if (!code) return visitPort();
      // Whose sandbox has none, or cannot be looked at now, is answered as at every other port.
      hasInterpreterAt(options.sandboxes, code.code).then(
        (has) => (has ? toRoutes(request, response, { ...code, port: INTERPRETER_PORT }, routes) : visitPort()),
        visitPort,
      );
    },
    tunnel(request, socket, head) {
      const address = addressedTo(request);
      if (isTenants(address)) begin(request, address, onSocket(request, socket, head, options));
    },
    async close() {
      for (const visitor of visits.keys()) if (visitor.isTunnel) visitor.cut();
      const timer = setTimeout(() => {
        for (const visitor of visits.keys()) visitor.cut();
      }, DRAIN_MS);
      await Promise.all(visits.values());
      clearTimeout(timer);
      lanes.close();
    },
  };
}

const isTenants = (address: Address): address is Wanted => address.kind !== 'own' && address.kind !== 'envd';

const headOf = ({ url = '/', headers, headersDistinct }: IncomingMessage) => ({
  url,
  hosts: headersDistinct['host'] ?? [],
  transferEncoding: headers['transfer-encoding'],
  sandboxId: headers['e2b-sandbox-id']?.toString(),
  sandboxPort: headers['e2b-sandbox-port']?.toString(),
});

async function hasInterpreterAt({ byCode }: SandboxesBehind, code: string): Promise<boolean> {
  return (await byCode(code))?.interpreter === true;
}

/** What we serve of a sandbox stands among our routes, which know the sandbox by its headers. */
function toRoutes(
  request: IncomingMessage,
  response: ServerResponse,
  { code, path, port }: { code: string; path: string; port: number },
  routes: RequestListener,
): void {
  request.url = path;
  request.headers['e2b-sandbox-id'] = code;
  request.headers['e2b-sandbox-port'] = String(port);
  if (request.headers.expect !== undefined) response.writeContinue();
  routes(request, response);
}

/** Who waits for the answer, with a response or with a whole connection. */
type Visitor = {
  isTunnel: boolean;
  isGone(): boolean;
  cut(): void;
  pass(target: Target, forwarded: Forwarded): Promise<Outcome>;
  refuse(refusal: Refusal): void;
};

const onResponse = (request: IncomingMessage, response: ServerResponse, { page }: ProxyOptions): Visitor => ({
  isTunnel: false,
  isGone: () => response.destroyed,
  cut: () => void response.destroy(),
  pass: (target, forwarded) => target.forward(request, response, forwarded),
  refuse: (refusal) => refuse(request, response, refusal, page),
});

function onSocket(request: IncomingMessage, socket: Duplex, head: Buffer, { page }: ProxyOptions): Visitor {
  // Until it is joined to another, nobody else listens to its failures.
  socket.on('error', () => socket.destroy());
  return {
    isTunnel: true,
    isGone: () => socket.destroyed,
    cut: () => void socket.destroy(),
    pass: (target, forwarded) => target.tunnel(request, socket, head, forwarded),
    refuse: (refusal) => refuse(request, answerOn(socket, request), refusal, page),
  };
}

/** Lets a visitor through to what it wants to see, or says why not. */
async function receive(
  proxy: ProxyOptions & { lanes: Lanes },
  request: IncomingMessage,
  wanted: Wanted,
  visitor: Visitor,
): Promise<void> {
  let hasFailed = false;
  const refusal = await letThrough(proxy, request, wanted, visitor).catch((error: unknown) => {
    const known = refusalFor(error, wanted.kind === 'pair' ? wanted.code : undefined);
    hasFailed = !known;
    if (!known) proxy.log.error({ err: error, host: request.headers.host }, 'a visit to an application failed');
    return known ?? unwell();
  });
  if (refusal && !visitor.isGone()) visitor.refuse(refusal);
  const outcome = hasFailed ? 'failed' : refusal ? 'refused' : 'passed';
  proxy.visited?.({ kind: visitor.isTunnel ? 'tunnel' : 'request', outcome });
}

async function letThrough(
  { lanes, sandboxes, compute, clientOf }: ProxyOptions & { lanes: Lanes },
  request: IncomingMessage,
  wanted: Wanted,
  visitor: Visitor,
): Promise<Refusal | undefined> {
  const passage = await passageTo(
    { sandboxes, compute },
    wanted,
    request.headers['e2b-traffic-access-token']?.toString(),
  );
  if ('status' in passage) return passage;
  if (visitor.isGone() || wanted.kind === 'invalid' || wanted.kind === 'nowhere') return undefined;
  const host = request.headers.host ?? '';
  const at = wanted.kind === 'label' ? 'name' : 'our origin';
  const client: Client = { ...clientOf(request), at, host, requestId: requestId(request.headers['x-request-id']) };
  const forwarded: Forwarded = {
    path: wanted.path,
    headers: toApplication(request.headersDistinct, client, passage.maskHost ?? host),
    present: (headers) =>
      wanted.kind === 'label' ? toClient(headers, wanted.host, client.requestId) : toProgram(headers, client.requestId),
  };
  const { place, woken } = passage;
  const network = networkOf(client.address);
  const outcome = await lanes.use(place, { woken, network }, (target) => visitor.pass(target, forwarded));
  return outcome ? refusalOf(outcome, passage) : crowded(passage.sandboxId);
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  page: (refusal: Refusal) => Answer,
): void {
  const isForPerson = request.headers.accept?.includes('text/html') === true;
  const { body, headers } = isForPerson
    ? page(refusal)
    : { body: JSON.stringify(refusalBody(refusal)), headers: { 'content-type': 'application/json; charset=utf-8' } };
  const bytes = Buffer.from(String(body));
  response.writeHead(refusal.status, {
    ...headers,
    'cache-control': 'no-store',
    'content-length': bytes.length,
    'x-request-id': requestId(request.headers['x-request-id']),
    ...(refusal.retryAfterSeconds !== undefined && { 'retry-after': String(refusal.retryAfterSeconds) }),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
