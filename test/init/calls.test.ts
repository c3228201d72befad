import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CALL, FRAME } from '../../src/domains/machines/init/protocol.ts';
import type { RunStream } from '../../src/domains/machines/init/index.ts';
import { all, BUILDS, collect, collectContent, startMachine, until, type TestMachine } from './machine.ts';

const KIB = 1_024;
const MIB = 1_048_576;
const user = 'user';
const ECHO_PORT = 4_071;

/** Answers everything with itself, and ends when its caller has said all. */
/** Of the 6 MiB that an idle machine may keep of ours; the rest is for the keepers of its runs. */
const MOST_KIB = 4_096;

const ECHO = `
import asyncio, socket, sys
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b'over')
    await writer.drain()
    writer.close()
async def main():
    servers = [await asyncio.start_server(serve, host, port) for host, port in (('127.0.0.1', ${ECHO_PORT}), ('::1', ${ECHO_PORT + 1}))]
    print('ready', flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())`;

const frame = (type: number, text: string, length = Buffer.byteLength(text)): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, Buffer.from(text)]);
};
/** All that comes until the other side closes, or nothing more comes for a while. */
async function answered(socket: Socket, patience = 300): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  await Promise.race([new Promise((resolve) => socket.on('close', resolve).on('end', resolve)), sleep(patience)]);
  socket.destroy();
  return Buffer.concat(chunks);
}
const text = async (stream: Duplex): Promise<string> => Buffer.concat((await all(stream)) as Buffer[]).toString();

describe.each(BUILDS)("calls of a machine's init ($build)", ({ build, program }) => {
  let machine: TestMachine;

  beforeAll(async () => {
    machine = await startMachine(await program());
  });
  afterEach(async () => {
    expect((await machine.sh('echo fine')).stdout).toBe('fine\n');
  });
  afterAll(async () => {
    expect(await machine.complaints()).toBe('');
    await machine.dispose();
  });

  const resident = async () =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${machine.pid}/status`, 'utf8'))?.[1] ?? Number.NaN);

  test.runIf(build === 'as built')('it is small, also after much work', async () => {
    expect(await resident()).toBeLessThanOrEqual(MOST_KIB);
    for (let round = 0; round < 5; round++)
      await Promise.all(
        Array.from({ length: 30 }, () => machine.sh('seq 2000', { env: { LARGE: 'x'.repeat(50_000) } })),
      );
    expect(await resident()).toBeLessThanOrEqual(MOST_KIB);
  });

  test('its socket is closed to everybody else on the host', async () => {
    expect((await stat(machine.socket)).mode & 0o777).toBe(0o600);
  });

  test('a user is told with home, numbers and shell; root is there whatever the files say', async () => {
    expect(await machine.init.home('other')).toEqual({
      home: '/home/other',
      uid: 64_002,
      gid: 64_002,
      shell: '/bin/sh',
    });
    expect(await machine.init.home('root')).toEqual({ home: '/root', uid: 0, gid: 0, shell: '/bin/bash' });
    await expect(machine.init.home('nobody-here')).rejects.toMatchObject({ errno: 'ENOENT' });
    const hostile = [
      'rm /etc/passwd; mkfifo /etc/passwd',
      'rm /etc/passwd; ln -s /dev/zero /etc/passwd',
      'rm /etc/passwd; head -c 3M /dev/urandom > /etc/passwd',
      String.raw`printf ':::::::\nroot:x:-1:5e3:a:b:c\nroot:x\n\n\0\0:root:root:x:99999999999999:1:1:1:1\nroot:x:7:7::relative:\n' > /etc/passwd`,
    ];
    await machine.sh('cp /etc/passwd /etc/saved', { user: 'root' });
    for (const script of hostile) {
      await machine.sh(script, { user: 'root' });
      expect(await machine.init.home('root')).toMatchObject({ home: '/root', uid: 0, gid: 0 });
      expect((await machine.sh('id -u', { user: 'root' })).stdout).toBe('0\n');
      await expect(machine.sh('id -u', { user: 'user' })).rejects.toMatchObject({ errno: 'ENOENT', where: 'user' });
    }
    await machine.sh('rm /etc/passwd; mv /etc/saved /etc/passwd', { user: 'root' });
  });

  test('a machine is named, and what its tenant put in the way of it is replaced, never followed', async () => {
    const put =
      'echo mine > /root/precious; cd /etc; rm -f hostname hosts; ln -s /root/precious hostname; ln -s /root hosts; ln -s /root/precious .freehold-identity';
    await machine.sh(put, { user: 'root' });
    const identity = {
      hostname: 'm-1',
      machineId: 'ab'.repeat(16),
      hosts: '127.0.0.1 m-1\n',
      resolvConf: 'nameserver 192.0.2.1\n',
    };
    await machine.init.identify(identity);
    const shown = await machine.sh(
      'cd /etc; cat hostname machine-id hosts resolv.conf /root/precious; ls -A | grep -c freehold',
      { user: 'root' },
    );
    expect(shown.stdout).toBe(`m-1\n${identity.machineId}\n${identity.hosts}${identity.resolvConf}mine\n0\n`);
    await machine.sh('rm /etc/hosts; mkdir /etc/hosts', { user: 'root' });
    await expect(machine.init.identify(identity)).rejects.toMatchObject({ errno: 'EISDIR' });
    await machine.sh('rmdir /etc/hosts; mv /etc /etc2; ln -s /etc2 /etc', { user: 'root' });
    await expect(machine.init.identify(identity)).rejects.toMatchObject({ name: 'InitError' });
    await machine.sh('rm /etc; mv /etc2 /etc', { user: 'root' });
  });

  describe('to what listens inside', () => {
    let server: RunStream;

    beforeAll(async () => {
      server = await machine.start('', { argv: ['/usr/bin/python3', '-c', ECHO] });
      await until(server, 'ready');
    });
    afterAll(() => server.close());

    test('bytes go to and fro, and each side may end before the other', async () => {
      for (const port of [ECHO_PORT, ECHO_PORT + 1]) {
        const connection = await machine.init.dial(port);
        connection.end('hello ');
        expect(await text(connection)).toBe('hello over');
      }
      await expect(machine.init.dial(9)).rejects.toMatchObject({ errno: 'ECONNREFUSED' });
      await expect(machine.init.dial(70_000)).rejects.toMatchObject({ errno: 'EINVAL' });
    });

    test('much goes through unharmed while the reader is slow, and many connections at once need one process', async () => {
      const connection = await machine.init.dial(ECHO_PORT);
      const block = Buffer.alloc(8 * MIB, 'abcdefg');
      connection.end(block);
      await sleep(200);
      const back = Buffer.concat((await all(connection)) as Buffer[]);
      expect(back.equals(Buffer.concat([block, Buffer.from('over')]))).toBe(true);
      const many = await Promise.all(Array.from({ length: 150 }, () => machine.init.dial(ECHO_PORT)));
      expect((await machine.sh('ps -C freehold-dial -o pid= | wc -l', { user: 'root' })).stdout.trim()).toBe('1');
      const texts = many.map((each, index) => {
        each.end(String(index));
        return text(each);
      });
      expect(await Promise.all(texts)).toEqual(many.map((_, index) => `${index}over`));
    });

    test('a caller that goes away is gone inside as well, and the relay ends when nobody needs it', async () => {
      const connection = await machine.init.dial(ECHO_PORT);
      connection.write('x');
      await once(connection, 'readable');
      connection.destroy();
      const open = () =>
        machine.sh(`ss -Htn state established sport = :${ECHO_PORT} | wc -l`).then(({ stdout }) => stdout.trim());
      await expect.poll(open).toBe('0');
      const relays = () => machine.sh('ps -C freehold-dial -o pid= | wc -l').then(({ stdout }) => stdout.trim());
      await expect.poll(relays, { timeout: 5_000, interval: 200 }).toBe('0');
      const again = await machine.init.dial(ECHO_PORT);
      again.end('again ');
      expect(await text(again)).toBe('again over');
    });
  });

  test('nonsense is refused with an error or an end, and hurts nobody else', async () => {
    const nonsense = [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      Buffer.alloc(64, 0xff),
      frame(CALL.start, 'no end'),
      frame(CALL.start, 'odd\0'),
      frame(CALL.start, ''),
      frame(CALL.stat, 'user\0root\0'),
      frame(CALL.read, 'path\0/etc/passwd\0'),
      frame(0, ''),
      frame(255, 'a\0b\0'),
      frame(CALL.list, '', 0xffff_ffff),
      frame(CALL.attach, `tag\0${'x'.repeat(10_000)}\0`),
    ];
    for (const bytes of nonsense) {
      const socket = await machine.dial();
      const answer = answered(socket);
      socket.write(bytes);
      const [type] = (await answer).subarray(4);
      expect(type).toBe(FRAME.error);
    }
  });

  test('what comes between is taken for the end of that call only', async () => {
    const run = await machine.start('cat', { stdin: true, tag: 'fed' });
    for (const bytes of [frame(FRAME.output, 'x'), frame(FRAME.data, '', 0xfff_ffff), Buffer.from('garbage')]) {
      const socket = await machine.dial();
      socket.write(frame(CALL.attach, 'tag\0fed\0'));
      await once(socket, 'readable');
      socket.write(bytes);
      await answered(socket);
    }
    await run.write(Buffer.from('still here'));
    await run.closeInput();
    expect((await collect(run)).stdout).toBe('still here');
  });

  test('a thousand callers that say nothing or only half hold up none that speaks', async () => {
    const silent = await Promise.all(Array.from({ length: 1_000 }, () => machine.dial()));
    for (const [index, socket] of silent.entries())
      if (index % 2 === 0) socket.write(frame(CALL.home, 'user\0ro', 500).subarray(0, 3 + (index % 7)));
    const started = performance.now();
    expect((await machine.sh('echo through')).stdout).toBe('through\n');
    expect(performance.now() - started).toBeLessThan(2_000);
    for (const socket of silent) socket.destroy();
  });

  test('more than there is room for waits until there is, and large requests that never end cost little', async () => {
    const half = await Promise.all(Array.from({ length: 1_200 }, () => machine.dial().catch(() => undefined)));
    const body = 'x'.repeat(64 * KIB);
    for (const socket of half) socket?.on('error', () => {}).write(frame(CALL.start, body, 1_000_000));
    await sleep(500);
    if (build === 'as built') expect(await resident()).toBeLessThan(12 * KIB);
    for (const socket of half) socket?.destroy();
    expect((await machine.sh('echo room')).stdout).toBe('room\n');
    if (build === 'as built') await expect.poll(resident).toBeLessThan(3 * KIB);
  });

  test('who asks and goes away at once leaves nothing behind', async () => {
    for (let index = 0; index < 100; index++) {
      const socket = await machine.dial();
      socket.write(frame(CALL.list, 'user\0root\0path\0/usr\0depth\x0020\0limit\x001000000\0'));
      socket.destroy();
    }
    await expect
      .poll(
        () => machine.sh('ps -C freehold-call -o pid= | wc -l', { user: 'root' }).then(({ stdout }) => stdout.trim()),
        { timeout: 10_000 },
      )
      .toBe('0');
  });

  test('who sends slowly is served all the same', async () => {
    const socket = await machine.dial();
    for (const byte of frame(CALL.home, 'user\0root\0')) {
      socket.write(Buffer.of(byte));
      await sleep(5);
    }
    expect((await answered(socket)).toString()).toContain('/root');
  });

  test.runIf(build === 'as built')(
    'one that only half was said is over after ten seconds',
    { timeout: 20_000 },
    async () => {
      const socket = await machine.dial();
      socket.write(frame(CALL.home, 'user', 500));
      expect((await answered(socket, 13_000)).toString()).toContain('ETIMEDOUT');
    },
  );

  test('a request as large as may be goes through, one that is larger is refused', async () => {
    const env = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`V${index}`, 'v'.repeat(100_000)]));
    const outcome = await machine.sh('env | wc -c', { env: { ...env, PATH: '/usr/bin:/bin' } });
    expect(Number(outcome.stdout)).toBeGreaterThan(900_000);
    await expect(machine.sh('true', { env: { ...env, A: 'v'.repeat(200_000) } })).rejects.toMatchObject({
      errno: 'E2BIG',
    });
    const argv = ['true', 'x'.repeat(140_000)];
    await expect(machine.sh('', { argv })).rejects.toMatchObject({ errno: 'E2BIG', where: 'program' });
  });

  test('what it keeps of ended runs is bounded: the oldest are let go', async () => {
    for (let round = 0; round < 7; round++)
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const run = await machine.start('', { argv: ['/bin/true'], keepMs: 60_000, tag: `k${round * 20 + index}` });
          await collect(run);
        }),
      );
    const kept = await Promise.all(
      Array.from({ length: 140 }, (_, index) =>
        machine.init.attach({ tag: `k${index}` }).then(
          async (run) => (await collect(run)).exitCode === 0,
          () => false,
        ),
      ),
    );
    expect(kept.filter(Boolean)).toHaveLength(128);
    expect(kept.slice(-100)).not.toContain(false);
  });

  test('its end is announced to all, waits for those that need time, and then is an end', async () => {
    const other = await startMachine(await program());
    const polite = await other.start("trap 'sleep 0.3; echo bye; exit 3' TERM; echo up; sleep 60 & wait", {
      onDisconnect: 'keep',
    });
    await until(polite, 'up');
    await other.start('true', { keepMs: 60_000, onDisconnect: 'keep' }).then((run) => run.close());
    const started = performance.now();
    const [, outcome] = await Promise.all([other.init.shutdown(), collect(polite)]);
    expect(outcome).toMatchObject({ stdout: 'bye\n', exitCode: 3 });
    expect(performance.now() - started).toBeLessThan(4_000);
    await expect.poll(() => other.hasEnded()).toBe(true);
    await expect(other.init.home('root')).rejects.toMatchObject({ name: 'MachineLost' });
    await other.dispose();
  });

  test.runIf(build === 'as built')('its end comes after five seconds for those who do not listen', async () => {
    const stubborn = await startMachine(await program());
    await stubborn
      .start("trap '' TERM; echo up; while true; do sleep 1; done", { onDisconnect: 'keep' })
      .then((run) => until(run, 'up'));
    const begun = performance.now();
    await stubborn.init.shutdown();
    expect(performance.now() - begun).toBeGreaterThan(4_500);
    await expect.poll(() => stubborn.hasEnded()).toBe(true);
    await stubborn.dispose();
  });

  test('a file of the machine is read through a link only as far as the machine goes', async () => {
    await machine.sh('ln -s ../../../../../../../../etc/passwd /home/user/up');
    const content = (await collectContent(await machine.init.read('/home/user/up', { user }))).toString();
    expect(content).toContain('64001');
  });
});
