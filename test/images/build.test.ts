import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archived, imageOf, ociArchive, tinyTree } from './archive.ts';
import { imagesWorld, sent } from './images-world.ts';

const TIMEOUT = { timeout: 180_000 };

const world = imagesWorld();
let tree: string;

beforeAll(async () => void (tree = await tinyTree()));
afterAll(() => rm(tree, { recursive: true }));

/** An image of the account that a Dockerfile can build on. */
async function tiny(): Promise<void> {
  const content = await ociArchive(await imageOf([tree], { Env: ['FROM_BELOW=yes'] }));
  await world.images.upload(world.asOwner(), { name: 'tiny' }, sent(content));
  await world.build();
}

async function built(text: string, context?: Buffer) {
  const op = world.asOwner();
  await world.images.request(op, { name: 'mine', from: { kind: 'dockerfile', text, context } });
  await world.build();
  return { image: await world.images.get(op, 'mine'), log: await world.images.log(op, 'mine') };
}

describe('a Dockerfile', () => {
  test('is built on an image of the account, with its context, and its programs run', TIMEOUT, async () => {
    await tiny();
    const text = `FROM tiny AS first
COPY --chown=33:44 hello.txt /srv/hello.txt
RUN id -u > /who && mkdir /made && chown 1000:1000 /made && echo "$FROM_BELOW $TIMES"
FROM localhost/tiny
COPY --from=first /srv /srv
COPY --from=first /who /who
ENV TIMES=two
WORKDIR /srv
CMD ["cat", "hello.txt"]
`;
    const { image, log } = await built(text, await archived({ 'hello.txt': 'hello\n' }));
    expect(image).toMatchObject({
      state: 'ready',
      config: { env: { FROM_BELOW: 'yes', TIMES: 'two' }, workdir: '/srv', cmd: ['cat', 'hello.txt'] },
    });
    expect(log).toContain('STEP 1/');
    expect(await world.printed(image, `cat /srv/hello.txt /who; stat -c '%u %g' /srv/hello.txt; echo $TIMES`)).toBe(
      'hello\n0\n33 44\ntwo\n',
    );
  });

  test('that goes wrong says what its builder said', TIMEOUT, async () => {
    await tiny();
    const { image, log } = await built('FROM tiny\nRUN echo about to fail >&2; exit 7\n');
    expect(image).toMatchObject({
      state: 'failed',
      failure: 'The Dockerfile could not be built; the log says why.',
    });
    expect(log).toMatch(/about to fail/);
    expect(log).toMatch(/exit status 7/);
    expect((await built('FROM tiny\nNONSENSE here\n')).log).toMatch(/NONSENSE/i);
  });

  test('may come with its context as an upload', TIMEOUT, async () => {
    await tiny();
    const op = world.asOwner();
    const context = await archived({ 'docker/Dockerfile': 'FROM tiny\nCOPY a /a\n', a: 'from the context' });
    await world.images.upload(op, { name: 'mine', dockerfile: 'docker/Dockerfile' }, sent(context));
    await world.build();
    expect(await world.printed(await world.images.get(op, 'mine'), 'cat /a')).toBe('from the context');
  });

  test('builds on what sandboxes have by default', TIMEOUT, async () => {
    const { image } = await built(
      'FROM base\nRUN python3 -c "print(6 * 7)" > /answer && setfattr -n user.note -v kept /answer\n',
    );
    expect(image.failure).toBeUndefined();
    expect(await world.printed(image, 'cat /answer; sudo -n id -u; getfattr --only-values -n user.note /answer')).toBe(
      '42\n0\nkept',
    );
  });
});

describe('what runs while an image is built', () => {
  test('finds no host, no network namespace of its own and no file system to mount', TIMEOUT, async () => {
    await tiny();
    const attempts = [
      'mount -t tmpfs none /mnt',
      'mount -t proc proc /mnt',
      'umount /proc/kallsyms',
      'mount -o remount,bind,rw /proc/sys',
      'echo 1 > /proc/sys/kernel/panic',
      'unshare --net true',
      'unshare --user --pid --fork true',
      'mknod /tmp/disk b 7 0',
      'nsenter --target 1 --mount true',
      'dmesg',
      'cat /proc/kcore',
      'mkdir -p /tmp/p && mount --bind /proc /tmp/p && cat /tmp/p/kcore',
    ];
    const lines = attempts.map((attempt, index) => `(${attempt}) >/dev/null 2>&1 && echo "did ${index}"; true`);
    const { image, log } = await built(
      `FROM tiny\nRUN ${lines.join('; ')}\nRUN head -c 10 /proc/kallsyms; echo tried\n`,
    );
    expect(image.failure).toBeUndefined();
    expect(log).toContain('tried');
    expect([...log.matchAll(/^did (\d+)$/gm)].map(([, index]) => attempts[Number(index)])).toEqual([]);
  });
});
