import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, request, type Agent, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from './client.ts';
import { freePorts } from './ports.ts';

const LARGE = 20_000_000;
const PORTS = 8;

let server: TestServer;
let agent: Agent;
let me: SshClient;
let stranger: SshClient;
let sandbox: string;

beforeAll(async () => {
  await prepareTestHost();
  const { first, last } = await freePorts(PORTS);
  server = await testServer({ FREEHOLD_SSH_PORTS: `${first}-${last}` });
  agent = await server.agent(10_000);
  [me, stranger] = await Promise.all([sshClient(), sshClient()]);
  sandbox = await newSandbox();
}, 900_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all([me, stranger].map((client) => client?.dispose()));
});

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, `/v1/sandboxes${path}`, { key: agent.key, ...(body !== undefined && { body }) });

async function newSandbox(): Promise<string> {
  const { status, body } = await call('POST', '');
  expect([status, body]).toEqual([201, expect.anything()]);
  return body.id;
}

async function opened(id: string, keys = [me.publicKey]): Promise<Access> {
  const { status, body } = await call('POST', `/${id}/ssh`, { authorized_keys: keys });
  expect([status, body]).toEqual([200, expect.anything()]);
  return body;
}

describe('a sandbox that was opened for SSH', () => {
  test('lets its owner in at the first connection, with strict checking of its host key', async () => {
    const access = await opened(sandbox);
    expect((await me.ssh(access, 'true')).text).toContain('Host key verification failed');
    await me.trust(access);
    const seen = await me.ssh(access, 'whoami; hostname; sudo whoami; cat; exit 7', 'from stdin');
    expect(seen.text).toMatch(/^user\n\S+\nroot\nfrom stdin$/);
    expect(seen.exitCode).toBe(7);
    expect((await me.ssh({ ...access, user: 'root' }, 'whoami')).text).toBe('root');
  });

  test('tells how to get in, and the same again', async () => {
    const access = await opened(sandbox);
    const { status, body } = await call('GET', `/${sandbox}/ssh`);
    expect([status, body]).toEqual([200, access]);
    expect(body.known_hosts).toBe(`[${body.host}]:${body.port} ${body.host_keys[0]}`);
    const shown = await me.ssh(access, 'sudo ssh-keygen -lf /run/freehold-ssh/host_key');
    expect(shown.text).toContain(body.fingerprint);
  });

  test('lists what its owner has started, and not what lets him in', async () => {
    await opened(sandbox);
    const { body: own } = await call('POST', `/${sandbox}/runs`, { command: 'sleep 600' });
    expect((await call('GET', `/${sandbox}/runs`)).body.runs).toMatchObject([{ pid: own.pid }]);
    await call('POST', `/${sandbox}/runs/${own.pid}/signal`, { signal: 'KILL' });
  });

  test('lets nobody else in, whatever they try', async () => {
    const access = await opened(sandbox);
    await stranger.trust(access);
    expect((await stranger.ssh(access, 'true')).text).toMatch(/Permission denied \(publickey\)/);
    expect((await stranger.ssh({ ...access, user: 'root' }, 'true')).text).toMatch(/Permission denied \(publickey\)/);
  });

  test('takes and gives 20 MB by scp, and sftp', async () => {
    const access = await opened(sandbox);
    await me.trust(access);
    const [sent, back] = [join(me.folder, 'sent'), join(me.folder, 'back')];
    await writeFile(sent, randomBytes(LARGE));
    expect((await me.scp(access, sent, ':copy')).exitCode).toBe(0);
    expect((await me.scp(access, ':copy', back)).exitCode).toBe(0);
    const digest = async (path: string) =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    expect(await digest(back)).toBe(await digest(sent));
  });

  test('gives a terminal to who asks for one', async () => {
    const access = await opened(sandbox);
    await me.trust(access);
    const { options } = me;
    const child = spawn('ssh', [...options, '-tt', '-p', String(access.port), `user@${access.host}`]);
    let seen = '';
    child.stdout.on('data', (chunk) => (seen += chunk));
    child.stdin.write('tty; stty size; exit 3\n');
    const [code] = await once(child, 'exit');
    expect(seen).toMatch(/\/dev\/pts\/\d+/);
    expect(code).toBe(3);
  });

  test('takes other keys while it runs: the new ones come in, the old ones do not, whoever is inside stays', async () => {
    const access = await opened(sandbox);
    await me.trust(access);
    await stranger.trust(access);
    const inside = spawn('ssh', [...me.options, '-p', String(access.port), `user@${access.host}`, 'echo in; cat']);
    await once(inside.stdout, 'data');
    expect(await opened(sandbox, [stranger.publicKey])).toMatchObject({ port: access.port });
    expect((await stranger.ssh(access, 'true')).exitCode).toBe(0);
    expect((await me.ssh(access, 'true')).text).toMatch(/Permission denied/);
    inside.stdin.end('still here');
    const [echoed] = await once(inside.stdout, 'data');
    expect(echoed.toString()).toBe('still here');
  });

  test('refuses what is no key, and says why', async () => {
    const rsa = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7';
    for (const key of ['hello', rsa, `command="id" ${me.publicKey}`]) {
      const { status, body } = await call('POST', `/${sandbox}/ssh`, { authorized_keys: [key] });
      expect([status, body.error]).toEqual([400, expect.stringMatching(/^authorized_keys\[0\] /)]);
    }
    expect((await call('POST', `/${sandbox}/ssh`, { authorized_keys: [] })).status).toBe(400);
  });
});

describe('sandboxes', () => {
  test('have a port and a host key each, which only a new sandbox has anew', async () => {
    const [other, fork] = [await newSandbox(), await forkOf(sandbox)];
    const doors = [await opened(sandbox), await opened(other), await opened(fork)];
    expect(new Set(doors.map(({ port }) => port)).size).toBe(3);
    expect(new Set(doors.map(({ known_hosts: line }) => line.split(' ')[2])).size).toBe(3);
    for (const door of doors) {
      await me.trust(door);
      expect((await me.ssh(door, 'true')).exitCode).toBe(0);
    }
    await Promise.all([other, fork].map((id) => call('DELETE', `/${id}`)));
  });

  test('are reached again after a rest on their disk, with the same host key', async () => {
    const id = await newSandbox();
    const access = await opened(id);
    await me.trust(access);
    expect((await call('POST', `/${id}/pause`, { keep_memory: false })).status).toBe(200);
    expect((await me.ssh(access, 'true')).exitCode).not.toBe(0);
    expect((await call('POST', `/${id}/resume`, {})).status).toBe(200);
    expect((await me.ssh(access, 'echo back')).text).toBe('back');
    await call('DELETE', `/${id}`);
  });

  test('and after a rest in memory', async () => {
    const id = await newSandbox();
    const access = await opened(id);
    await me.trust(access);
    expect((await call('POST', `/${id}/pause`, {})).status).toBe(200);
    expect((await call('POST', `/${id}/ssh`, { authorized_keys: [stranger.publicKey] })).status).toBe(409);
    expect((await call('POST', `/${id}/resume`, {})).status).toBe(200);
    expect((await me.ssh(access, 'echo back')).text).toBe('back');
    await call('DELETE', `/${id}`);
  });

  test('that end give their port back, and one that is closed is closed', async () => {
    const id = await newSandbox();
    const access = await opened(id);
    await me.trust(access);
    const inside = spawn('ssh', [...me.options, '-p', String(access.port), `user@${access.host}`, 'echo in; cat']);
    await once(inside.stdout, 'data');
    const cutOff = once(inside, 'exit');
    expect((await call('DELETE', `/${id}/ssh`)).status).toBe(200);
    await cutOff;
    expect((await me.ssh(access, 'true')).text).toMatch(/refused/);
    expect((await call('GET', `/${id}/ssh`)).status).toBe(404);
    expect((await call('DELETE', `/${id}/ssh`)).status).toBe(200);
    const again = await opened(id);
    expect(again.known_hosts.split(' ')[2]).toBe(access.known_hosts.split(' ')[2]);
    await call('DELETE', `/${id}`);
    await eventually(
      async () => (await me.ssh(again, 'true')).text,
      (text) => text.includes('refused'),
      20_000,
      500,
    );
    const next = await newSandbox();
    // The lowest that is free is taken: one of a sandbox before these may be free again by now.
    expect((await opened(next)).port).toBeLessThanOrEqual(again.port);
    await call('DELETE', `/${next}`);
  });

  test('of others do not exist', async () => {
    const other = await server.agent(100);
    for (const [method, body] of [['POST', { authorized_keys: [me.publicKey] }], ['GET'], ['DELETE']] as const)
      expect((await request(server.url, method, `/v1/sandboxes/${sandbox}/ssh`, { key: other.key, body })).status).toBe(
        404,
      );
  });
});

async function forkOf(id: string): Promise<string> {
  const { status, body } = await call('POST', `/${id}/fork`, { count: 1 });
  expect([status, body]).toEqual([201, expect.anything()]);
  return body.sandboxes[0].id;
}
