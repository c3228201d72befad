import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must, run } from '../../src/platform/run.ts';
import { credit, eventually, request, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from '../ssh/client.ts';
import { freePorts } from '../ssh/ports.ts';
import { leaveNothing } from './leave.ts';

const LARGE = 100_000_000;
const SMALL_FILES = 1_000;
const SMALL_BYTES = 10_000;
const PLAN = { planId: 'vc2-1c-1gb', regionId: 'ams' };

let server: TestServer;
let token: string;
let me: SshClient;
let stranger: SshClient;

beforeAll(async () => {
  await prepareTestHost();
  const { first, last } = await freePorts(8);
  server = await testServer({ FREEHOLD_SSH_PORTS: `${first}-${last}`, FREEHOLD_REGION: 'fra' });
  const person = { email: 'ada@example.com', password: 'correct horse battery staple' };
  const { body } = await request(server.url, 'POST', '/auth/register', { body: person });
  token = body.accessToken;
  await credit(server.url, server.adminKey, body.user.id, 10_000);
  [me, stranger] = await Promise.all([sshClient(), sshClient()]);
}, 900_000);
afterAll(async () => {
  if (server) await leaveNothing(server);
  await server?.stop();
  await Promise.all([me, stranger].map((client) => client?.dispose()));
});

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, path, { key: token, ...(body !== undefined && { body }) });

type Shown = { id: string; status: string; ssh: { host: string; port: number; user: string; knownHosts: string } };

async function deployed(order: object = { sshKey: me.publicKey }) {
  const { status, body } = await call('POST', '/servers', { label: 'My.Bot_1', ...PLAN, ...order });
  expect(status).toBe(202);
  expect(body.server).toMatchObject({ status: 'PROVISIONING', ipv4: null, ssh: null });
  return { ...(await active(body.server.id)), rootPassword: body.server.rootPassword };
}

const shown = async (id: string): Promise<Shown> => (await call('GET', `/servers/${id}`)).body.server;
const active = (id: string): Promise<Shown> =>
  eventually(
    () => shown(id),
    ({ status }) => status === 'ACTIVE',
    60_000,
  );
const accessOf = ({ ssh }: Shown): Access => ({ ...ssh, known_hosts: ssh.knownHosts });

/** A package of Debian with one program in it. */
async function somePackage(folder: string): Promise<string> {
  const root = join(folder, 'hello-freehold');
  await mkdir(join(root, 'DEBIAN'), { recursive: true });
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await chmod(join(root, 'DEBIAN'), 0o755);
  const control = ['Package: hello-freehold', 'Version: 1.0', 'Architecture: all', 'Maintainer: me <me@home>'];
  await writeFile(join(root, 'DEBIAN/control'), `${control.join('\n')}\nDescription: says hello\n`);
  await writeFile(join(root, 'usr/bin/hello-freehold'), '#!/bin/sh\necho hello\n', { mode: 0o755 });
  const file = join(folder, 'hello.deb');
  await must(['dpkg-deb', '--root-owner-group', '--build', root, file]);
  return file;
}

/** Every name below a folder with its mode, its time and what it holds; rsync gives a link's time to the second only. */
const listing = async (folder: string): Promise<string[]> => {
  const lines = await must([
    'sh',
    '-c',
    `cd "$1" && { find . -type f -printf '%p %m %s %T@\\n'; find . ! -type f -printf '%p %y %m %l\\n'
       find . -type f -print0 | xargs -0 sha256sum; } | sort`,
    'list',
    folder,
  ]);
  return lines.split('\n');
};

const digest = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

describe('a server with a key', () => {
  test('lets root in at the first connection with strict checking, is a computer of its size, and takes 100 MB', async () => {
    const made = await deployed();
    expect(made.rootPassword).toBeUndefined();
    const access = accessOf(made);
    expect((await me.ssh(access, 'true')).text).toContain('Host key verification failed');
    await me.trust(access);
    const seen = await me.ssh(
      access,
      'whoami; hostname; cat /etc/hostname; nproc; free -m | awk "/Mem/ {print \\$2}"; cat; exit 7',
      'in',
    );
    expect(seen.text.split('\n')).toEqual(['root', 'my-bot-1', 'my-bot-1', '1', '1024', 'in']);
    expect(seen.exitCode).toBe(7);
    const cpus = `python3 -c 'import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))'; grep -c ^processor /proc/cpuinfo`;
    expect((await me.ssh(access, cpus)).text).toBe('1 1\n1');
    await stranger.trust(access);
    expect((await stranger.ssh(access, 'true')).text).toMatch(/Permission denied \(publickey\)/);
    const [sent, back] = [join(me.folder, 'sent'), join(me.folder, 'back')];
    await writeFile(sent, randomBytes(LARGE));
    expect((await me.scp(access, sent, ':copy')).exitCode).toBe(0);
    expect((await me.scp(access, ':copy', back)).exitCode).toBe(0);
    expect(await digest(back)).toBe(await digest(sent));
    // What it uses is seen within seconds.
    const used =
      'python3 -c "import time; x = bytearray(300_000_000); time.sleep(12); print(open(\'/proc/meminfo\').read())" | awk "/MemAvailable/ {print int(\\$2/1024)}"';
    expect(Number((await me.ssh(access, used)).text)).toBeLessThan(760);
    await call('DELETE', `/servers/${made.id}`);
  }, 120_000);

  test('takes and gives back a tree of 100 MB by rsync, and then only what has changed of it', async () => {
    const made = await deployed();
    const access = accessOf(made);
    await me.trust(access);
    const [sent, back] = [join(me.folder, 'tree'), join(me.folder, 'tree-back')];
    await mkdir(join(sent, 'small/deep'), { recursive: true });
    const large = randomBytes(LARGE - SMALL_FILES * SMALL_BYTES);
    await writeFile(join(sent, 'large'), large);
    for (let n = 0; n < SMALL_FILES; n++)
      await writeFile(join(sent, n % 2 ? 'small' : 'small/deep', `file ${n}`), randomBytes(SMALL_BYTES), {
        mode: n % 3 ? 0o640 : 0o755,
      });
    await symlink('../large', join(sent, 'small/link'));
    const up = await me.rsync(access, `${sent}/`, ':/srv/tree/');
    expect(up).toMatchObject({ exitCode: 0, literalBytes: LARGE });
    // A megabyte in the middle of the large file, one small file more and one less.
    large.set(randomBytes(1_000_000), 50_000_000);
    await writeFile(join(sent, 'large'), large);
    await writeFile(join(sent, 'small/new'), 'new');
    await rm(join(sent, 'small/file 1'));
    const delta = await me.rsync(access, `${sent}/`, ':/srv/tree/');
    expect(delta.exitCode).toBe(0);
    expect(delta.literalBytes).toBeGreaterThanOrEqual(1_000_003);
    expect(delta.literalBytes).toBeLessThan(1_200_000);
    const down = await me.rsync(access, ':/srv/tree/', `${back}/`);
    expect(down).toMatchObject({ exitCode: 0, literalBytes: LARGE - SMALL_BYTES + 3 });
    expect(await listing(back)).toEqual(await listing(sent));
    await call('DELETE', `/servers/${made.id}`);
  }, 240_000);

  test('keeps what is installed over a reboot and a stop, runs rc.local at each start, and goes when it is destroyed', async () => {
    const made = await deployed();
    const access = accessOf(made);
    await me.trust(access);
    expect((await me.scp(access, await somePackage(me.folder), ':hello.deb')).exitCode).toBe(0);
    const install = 'apt-get install -y ./hello.deb >/dev/null 2>&1 || dpkg -i hello.deb >/dev/null; hello-freehold';
    expect((await me.ssh(access, install)).text).toBe('hello');
    const rc = 'printf "#!/bin/sh\\necho rc was here\\n" > /etc/rc.local && chmod +x /etc/rc.local';
    expect((await me.ssh(access, rc)).exitCode).toBe(0);
    const before = await me.ssh(access, 'stat -c %Y /proc/1');
    expect((await call('POST', `/servers/${made.id}/reboot`)).status).toBe(200);
    const after = await me.ssh(access, 'stat -c %Y /proc/1; hello-freehold; hostname');
    expect(after.text).toMatch(/^\d+\nhello\nmy-bot-1$/);
    expect(after.text.split('\n')[0]).not.toBe(before.text);
    await eventually(
      async () => (await call('GET', `/servers/${made.id}/console`)).body.console,
      (text) => /rc was here/.test(text) && /has ended with 0/.test(text),
      20_000,
    );
    expect((await call('POST', `/servers/${made.id}/stop`)).body.server).toMatchObject({
      power: 'off',
      status: 'ACTIVE',
    });
    expect((await me.ssh(access, 'true')).exitCode).toBe(255);
    expect((await call('GET', `/servers/${made.id}/console`)).status).toBe(409);
    expect((await call('POST', `/servers/${made.id}/start`)).body.server).toMatchObject({ power: 'on' });
    expect((await me.ssh(access, 'hello-freehold')).text).toBe('hello');
    expect((await call('DELETE', `/servers/${made.id}`)).status).toBe(202);
    expect((await me.ssh(access, 'true')).exitCode).toBe(255);
    await eventually(
      () => call('GET', `/servers/${made.id}`),
      ({ status }) => status === 404,
      20_000,
    );
  }, 120_000);

  test('whose first process is killed starts again from its disk, with the same host key', async () => {
    const made = await deployed();
    const access = accessOf(made);
    await me.trust(access);
    await me.ssh(access, 'echo kept > /root/kept; sync');
    const [row] = await server.db.query<{ machine_id: string }>(`select machine_id from servers where id = $1`, [
      made.id,
    ]);
    const pids = (await run(['pgrep', '-f', '^/.freehold/init$'])).stdout.toString().split('\n').filter(Boolean);
    const groups = await Promise.all(
      pids.map(async (pid) => [pid, await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')] as const),
    );
    const pid = groups.find(([, group]) => group.includes(row?.machine_id ?? 'none'))?.[0];
    expect(pid).toBeDefined();
    process.kill(Number(pid), 'SIGKILL');
    await eventually(
      () => me.ssh(access, 'cat /root/kept'),
      ({ text }) => text === 'kept',
      40_000,
      500,
    );
    await call('DELETE', `/servers/${made.id}`);
  }, 120_000);
});

test('the region where this host stands is told to be real, and no other is', async () => {
  const { regions } = (await call('GET', '/regions')).body;
  const real = regions.filter((region: { real: boolean }) => region.real);
  expect(real.map(({ id }: { id: string }) => id)).toEqual(['fra']);
});

describe('a server without a key', () => {
  /** How a person types it, who has no terminal. */
  async function withPassword(access: Access, password: string, command: string) {
    const file = join(me.folder, 'askpass');
    await writeFile(file, `#!/bin/sh\necho '${password}'\n`, { mode: 0o700 });
    const options = me.options
      .filter((option) => !/^(BatchMode|IdentitiesOnly)/.test(option))
      .filter((option, index, all) => option !== '-o' || all[index + 1]?.includes('='));
    const child = spawn(
      'ssh',
      [
        ...options,
        '-o',
        'PubkeyAuthentication=no',
        '-o',
        'NumberOfPasswordPrompts=1',
        '-p',
        String(access.port),
        `root@${access.host}`,
        command,
      ],
      {
        env: { ...process.env, SSH_ASKPASS: file, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
    const [code] = await once(child, 'close');
    return { code, text: text.trim() };
  }

  test('lets root in by the password of its deployment, until a key takes its place', async () => {
    const made = await deployed({});
    const access = accessOf(made);
    await me.trust(access);
    expect(await withPassword(access, made.rootPassword, 'whoami')).toMatchObject({ code: 0, text: 'root' });
    expect((await withPassword(access, 'wrong', 'true')).text).toMatch(/Permission denied/);
    const hashed = await withPassword(access, made.rootPassword, 'getent shadow root');
    expect(hashed.text).toMatch(/^root:\$y\$|^root:\$6\$/);
    expect(JSON.stringify((await call('GET', `/servers/${made.id}`)).body)).not.toContain(made.rootPassword);
    const { status, body } = await call('PUT', `/servers/${made.id}/ssh-key`, { sshKey: me.publicKey });
    expect(status).toBe(200);
    const printed = await must(['ssh-keygen', '-lf', join(me.folder, 'id.pub')]);
    expect(printed.split(' ')[1]).toBe(body.fingerprint);
    expect((await me.ssh(access, 'whoami')).text).toBe('root');
    expect((await withPassword(access, made.rootPassword, 'true')).text).toMatch(/Permission denied/);
    await call('POST', `/servers/${made.id}/reboot`);
    await eventually(
      () => me.ssh(access, 'whoami'),
      ({ text }) => text === 'root',
      20_000,
    );
    await call('DELETE', `/servers/${made.id}`);
  }, 120_000);
});

describe('a computer of the agents contract', () => {
  test('runs when the reply comes, with SSH for agent, and takes another key', async () => {
    const order = { name: 'my-server', ssh_public_key: me.publicKey, slug: 'my-site' };
    const { status, body } = await call('POST', '/v1/compute', order);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      status: 'running',
      monthly_price_cents: 500,
      slug: 'my-site',
      subdomain: 'vm-my-site',
    });
    expect(new Date(body.next_billing_at).getTime() - new Date(body.created_at).getTime()).toBeGreaterThan(
      30 * 86_400_000 - 1,
    );
    const printed = await must(['ssh-keygen', '-lf', join(me.folder, 'id.pub')]);
    expect(body.ssh.fingerprint).toBe(printed.split(' ')[1]);
    await me.trust(body.ssh);
    const seen = await me.ssh(body.ssh, 'whoami; sudo whoami; nproc; df --output=size -B1G / | tail -1');
    expect(seen.text.split('\n').map((line) => line.trim())).toEqual([
      'agent',
      'root',
      '1',
      expect.stringMatching(/^(9|10)$/),
    ]);
    const serve =
      'cd /tmp && echo hello from the web > index.html && (sudo setsid python3 -m http.server 80 > /dev/null 2>&1 < /dev/null &)';
    await me.ssh(body.ssh, serve);
    const fetched = async () =>
      (
        await run(['curl', '-s', '--noproxy', '*', '-H', 'Host: vm-my-site.apps.localhost', server.url])
      ).stdout.toString();
    await eventually(fetched, (text) => text.trim() === 'hello from the web', 10_000);
    const rotated = await call('PUT', `/v1/compute/${body.id}/ssh-key`, { ssh_public_key: stranger.publicKey });
    expect(rotated).toMatchObject({
      status: 200,
      body: { status: 'updated', fingerprint: expect.stringMatching(/^SHA256:/) },
    });
    await stranger.trust(body.ssh);
    expect((await stranger.ssh(body.ssh, 'whoami')).text).toBe('agent');
    expect((await me.ssh(body.ssh, 'true')).text).toMatch(/Permission denied/);
    expect(await call('DELETE', `/v1/compute/${body.id}`)).toMatchObject({ status: 200, body: { status: 'deleted' } });
    expect((await call('GET', `/v1/compute/${body.id}`)).status).toBe(404);
  }, 120_000);
});
