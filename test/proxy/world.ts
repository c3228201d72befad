import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { InitError } from '../../src/domains/machines/init/index.ts';
import type { Sandbox, Visibility } from '../../src/domains/sandboxes/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import type { AccountId, MachineId, SandboxId } from '../../src/kernel/ids.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { clientReader } from '../../src/platform/client-address.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { createLog } from '../../src/platform/log.ts';
import { createProxy } from '../../src/proxy/index.ts';
import { unreachablePage } from '../../src/web/unreachable.ts';

export const APPS = 'apps.test';
/** The sandbox that the tests visit, and the token that opens its private ports. */
export const CODE = 'sandboxa';
export const TOKEN = 'token-of-the-traffic';

type Exposed = { sandbox: Sandbox; port: number; visibility: Visibility };
type Dialled = { port: number; socket: Socket };

/**
 * The server with its proxy, where the machines are this host: a sandbox's port is a loopback port. What is faked is
 * who is asked for sandboxes and machines; every byte goes over real connections.
 */
export async function proxyWorld({ trustProxy }: { trustProxy?: string[] } = {}) {
  const names = new Map<string, Exposed>();
  const sandboxes = new Map<string, Sandbox>();
  const dialled: Dialled[] = [];
  const wakes: string[] = [];
  const addSandbox = (code: string, changes: Partial<Sandbox> = {}): Sandbox => {
    const sandbox = { ...plainSandbox(code), ...changes };
    sandboxes.set(code, sandbox);
    return sandbox;
  };
  addSandbox(CODE);
  const proxy = createProxy({
    appsDomain: APPS,
    clock: systemClock,
    log: createLog({ level: 'fatal' }),
    clientOf: clientReader(trustProxy),
    page: unreachablePage,
    compute: { bySubdomain: async () => undefined },
    sandboxes: {
      async byHostLabel(label) {
        const [port, code = ''] = label.split('-');
        const sandbox = sandboxes.get(code);
        return names.get(label) ?? (sandbox && { sandbox, port: Number(port), visibility: 'public' });
      },
      async awake(sandbox) {
        if (sandbox.state !== 'paused' || !sandbox.lifecycle.autoResume) return sandbox;
        wakes.push(sandbox.code);
        return addSandbox(sandbox.code, { ...sandbox, state: 'running' });
      },
      byCode: async (code) => sandboxes.get(code),
      trafficToken: () => TOKEN,
    },
    machines: {
      async dial(op, _id, port) {
        const socket = connect({ port, host: '127.0.0.1', signal: op.signal });
        try {
          await once(socket, 'connect');
        } catch {
          throw new AppError('conflict', 'Nothing listens', { cause: new InitError('ECONNREFUSED') });
        }
        dialled.push({ port, socket });
        return socket;
      },
    },
  });
  const server = createHttpServer({ fronts: [proxy] });
  server.all('/own', (request, reply) => void reply.send({ own: true, host: request.headers.host }));
  server.all(
    '/e2b/code/*',
    ({ url, headers }, reply) => void reply.send({ code: url, sandbox: headers['e2b-sandbox-id'] }),
  );
  server.all(
    '/e2b/envd/*',
    ({ url, headers }, reply) => void reply.send({ envd: url, sandbox: headers['e2b-sandbox-id'] }),
  );
  await server.listen({ port: 0, host: '127.0.0.1' });
  const { port } = server.server.address() as AddressInfo;
  const applications: Server[] = [];
  return {
    port,
    names,
    addSandbox,
    dialled,
    wakes,
    proxy,
    hostOf: (applicationPort: number, code = CODE) => `${applicationPort}-${code}.${APPS}`,
    /** An application of a tenant; answers its port. */
    async application(listener: RequestListener, prepare: (server: Server) => void = () => {}): Promise<number> {
      const application = createServer(listener);
      prepare(application);
      applications.push(application);
      application.listen(0, '127.0.0.1');
      await once(application, 'listening');
      return (application.address() as AddressInfo).port;
    },
    async close() {
      for (const application of applications) application.closeAllConnections();
      await Promise.all([proxy.close(), server.close()]);
      for (const application of applications) application.close();
    },
  };
}

export type ProxyWorld = Awaited<ReturnType<typeof proxyWorld>>;

const plainSandbox = (code: string): Sandbox => ({
  id: `00000000-0000-8000-8000-${code}` as SandboxId,
  code,
  accountId: 'account' as AccountId,
  machineId: `mch_${code}` as MachineId,
  name: undefined,
  origin: 'e2b',
  state: 'running',
  keptMemory: false,
  pausedBy: undefined,
  template: 'base',
  interpreter: false,
  limits: { vcpus: 1, memoryMb: 512, diskGb: 1, pids: 512 },
  metadata: {},
  env: {},
  lifecycle: { onTimeout: 'kill', keepMemory: true, autoResume: false },
  network: {
    allowOut: [],
    denyOut: [],
    internet: undefined,
    headers: {},
    egressProxy: undefined,
    httpsPorts: [],
    publicTraffic: true,
    maskRequestHost: undefined,
  },
  ready: true,
  startedAt: new Date(0),
  endAt: undefined,
  seq: 1n,
});

/** The whole body of a message. */
export async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
