import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../src/kernel/errors.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createLog } from '../../src/platform/log.ts';
import { createSshGateway, MAX_CONNECTIONS, type SshGateway } from '../../src/proxy/ssh-gateway.ts';
import { eventually } from '../harness/agent.ts';
import { freePorts } from './ports.ts';

const one = 'mch_one' as MachineId;
const host = '127.0.0.1';

let echo: Server;
let gateways: SshGateway[];
let doors: { machineId: MachineId; port: number }[];
let port: number;

const gateway = (): SshGateway => {
  const made = createSshGateway({ host, clock: systemClock, log: createLog({ level: 'fatal' }) });
  gateways.push(made);
  return made;
};

/** What stands for a machine is a server on this host that gives back what it gets. */
const ssh = {
  doors: async () => doors,
  async connect() {
    const socket = connect({ port: (echo.address() as AddressInfo).port, host, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  },
};

beforeEach(async () => {
  gateways = [];
  doors = [];
  ({ first: port } = await freePorts(2));
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket).on('error', () => {}));
  echo.listen(0, host);
  await once(echo, 'listening');
});
afterEach(() => {
  for (const each of gateways) each.close();
  echo.close();
});

async function visit(localAddress = host): Promise<Socket> {
  const socket = connect({ port, host, localAddress });
  await once(socket, 'connect');
  return socket;
}

const isOpen = (): Promise<boolean> =>
  visit().then(
    (socket) => (socket.destroy(), true),
    () => false,
  );

describe('the gateway', () => {
  test('passes on what comes, both ways and until the end of each', async () => {
    const made = gateway();
    await made.serve(ssh);
    expect(await made.listen({ machineId: one, port })).toBe(true);
    doors = [{ machineId: one, port }];
    const socket = await visit();
    const sent = Buffer.alloc(3_000_000, 'x');
    socket.end(sent);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
  });

  test('loses nothing of what a machine said before it hung up', async () => {
    const said = Buffer.alloc(3_000_000, 'y');
    const speaker = createServer((socket) => void socket.end(said));
    speaker.listen(0, host);
    await once(speaker, 'listening');
    const made = gateway();
    await made.serve({
      ...ssh,
      connect: async () => connect({ port: (speaker.address() as AddressInfo).port, host }),
    });
    await made.listen({ machineId: one, port });
    const socket = await visit();
    await sleep(300);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(said)).toBe(true);
    speaker.close();
  });

  test('cuts who is inside when a machine takes no SSH any more', async () => {
    const made = gateway();
    await made.serve(ssh);
    await made.listen({ machineId: one, port });
    const socket = await visit();
    socket.write('x');
    await once(socket, 'data');
    made.unlisten(one);
    await once(socket, 'close');
    expect(await isOpen()).toBe(false);
  });

  test('lets so many into one machine at a time, so many from one network, and another one when one of them has gone', async () => {
    const made = gateway();
    await made.serve(ssh);
    await made.listen({ machineId: one, port });
    const greeted = async (socket: Socket) => {
      socket.on('error', () => {}).write('x');
      return Promise.race([once(socket, 'data').then(() => true), once(socket, 'close').then(() => false)]);
    };
    const { each, network } = MAX_CONNECTIONS;
    const all = (from: string, length: number) => Promise.all(Array.from({ length }, async () => visit(from)));
    const inside = await all(host, network);
    expect(await Promise.all(inside.map(greeted))).toEqual(inside.map(() => true));
    expect(await greeted(await visit())).toBe(false);
    const others = await all('127.0.0.2', each - network);
    expect(await Promise.all(others.map(greeted))).toEqual(others.map(() => true));
    expect(await greeted(await visit('127.0.0.3'))).toBe(false);
    inside[0]?.destroy();
    await expect.poll(async () => greeted(await visit('127.0.0.3'))).toBe(true);
    for (const socket of [...inside, ...others]) socket.destroy();
  });

  test('keeps a client that comes while its machine is being started', async () => {
    const made = gateway();
    let refusals = 0;
    const refusing = () =>
      refusals++ < 3 ? Promise.reject(new AppError('conflict', 'The machine is not running.')) : ssh.connect();
    await made.serve({ ...ssh, connect: refusing });
    await made.listen({ machineId: one, port });
    const socket = await visit();
    socket.write('hello');
    expect(String((await once(socket, 'data'))[0])).toBe('hello');
    socket.destroy();
  });

  test('asks no more for a client that has gone', async () => {
    const made = gateway();
    let asked = 0;
    const refusing = () => (asked++, Promise.reject(new AppError('conflict', 'The machine is not running.')));
    await made.serve({ ...ssh, connect: refusing });
    await made.listen({ machineId: one, port });
    const socket = await visit();
    await expect.poll(() => asked).toBeGreaterThan(1);
    socket.resetAndDestroy();
    let before: number;
    do {
      before = asked;
      await sleep(500);
    } while (asked > before);
    expect(asked).toBeLessThan(50);
  });

  test('ends the connection of whoever cannot be led to a machine', async () => {
    const made = gateway();
    await made.serve({ ...ssh, connect: async () => Promise.reject(new Error('gone')) });
    await made.listen({ machineId: one, port });
    const socket = await visit();
    await once(socket.resume(), 'close');
  });

  test('listens for machines that others have let in, and no more for those that have ended', async () => {
    doors = [{ machineId: one, port }];
    await gateway().serve(ssh);
    expect(await isOpen()).toBe(true);
    doors = [];
    await eventually(isOpen, (open) => !open, 10_000);
  });

  test('of two processes one serves, and the other when that one ends', async () => {
    doors = [{ machineId: one, port }];
    const [first, second] = [gateway(), gateway()];
    await first.serve(ssh);
    await second.serve(ssh);
    expect(await second.listen({ machineId: one, port })).toBe(false);
    first.close();
    await eventually(isOpen, Boolean, 10_000);
  });
});
