import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDriver } from '../../src/domains/machines/index.ts';
import { must } from '../../src/platform/run.ts';
import { CACHE_DIR, prepareTestHost } from './host.ts';

let cacheDir: string;
let image: string;

beforeAll(async () => {
  image = (await prepareTestHost()).baseImage.dir;
  cacheDir = await mkdtemp(join(tmpdir(), 'freehold-image-'));
}, 900_000);
afterAll(() => rm(cacheDir, { recursive: true, force: true }));

/** A process that builds the base image in a cache directory of its own. */
function builder(): { child: ChildProcess; said: string[] } {
  const prepare = JSON.stringify(join(import.meta.dirname, '../../src/domains/machines/host.ts'));
  const script = `import { prepareHost } from ${prepare};
    await prepareHost({ cacheDir: ${JSON.stringify(cacheDir)}, installPackages: false, progress: (line) => console.log(line) });`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  child.stdout?.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  return { child, said };
}

const killed = async (child: ChildProcess) => {
  child.kill('SIGKILL');
  await once(child, 'exit');
};

async function processesAt(path: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes(path));
}

const HOST_MODULE = JSON.stringify(join(import.meta.dirname, '../../src/domains/machines/host.ts'));
const PREPARE = `import { prepareHost } from ${HOST_MODULE};
  prepareHost({ cacheDir: '/nowhere', installPackages: false, progress: () => {} })
    .then(() => console.log('prepared'), (error) => console.log(error.code, error.message));`;
const prepareIn = (...wrapper: string[]) =>
  must([...wrapper, process.execPath, '--input-type=module-typescript', '-e', PREPARE]);

describe('a host that cannot run machines', () => {
  test('is told which packages are missing, in one sentence', async () => {
    const hidden =
      'mount --bind /dev/null "$(command -v nft)"; mount --bind /dev/null "$(command -v mmdebstrap)"; exec "$@"';
    expect(await prepareIn('unshare', '--mount', '--propagation', 'private', 'sh', '-e', '-c', hidden, 'sh')).toBe(
      'unconfigured Machines need system packages that are missing here; install them with: apt-get install nftables mmdebstrap\n',
    );
  });

  test('is told that root is needed', async () => {
    // May read everything, so that it can start from a checkout that only root can enter.
    const reads = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
    const nobody = ['--bounding-set', '-all,+dac_read_search', '--reuid', '65534', '--clear-groups', ...reads];
    expect(await prepareIn('setpriv', ...nobody)).toMatch(/^unconfigured Machines need root on their host/);
  });

  test('gets no driver, with the runtimes that were tried', async () => {
    const options = { setting: 'oci', instance: 'tnone', dataDir: cacheDir, cacheDir: '/nowhere' } as const;
    await expect(openDriver(options)).rejects.toMatchObject({
      code: 'unconfigured',
      message: 'No machine can be run on this host (crun and runc).',
    });
    expect(await readdir('/run/freehold-machines')).not.toContain('tnone');
  });

  test('otherwise gets the driver that is asked for, crun before runc', async () => {
    for (const [setting, name] of [
      ['auto', 'oci-crun'],
      ['oci', 'oci-crun'],
      ['oci-runc', 'oci-runc'],
    ] as const) {
      const driver = await openDriver({ setting, instance: 'tauto', dataDir: cacheDir, cacheDir: CACHE_DIR });
      expect(driver).toMatchObject({ name, tier: 'container' });
      expect(await driver.list()).toEqual([]);
      await driver.close();
    }
  });
});

describe('the base image', () => {
  test('is small, belongs to the machines and nobody of the host can reach into it', async () => {
    const [root, sudo, images] = await Promise.all(
      [image, join(image, 'usr/bin/sudo'), join(image, '../..')].map((path) => stat(path)),
    );
    expect(root?.uid).toBeGreaterThan(100_000);
    expect([sudo?.uid, (sudo?.mode ?? 0) & 0o7777]).toEqual([root?.uid, 0o4755]);
    expect((images?.mode ?? 0) & 0o077).toBe(0);
  });

  test('keeps nothing of how this host fetches packages', async () => {
    const files = await readdir(join(image, 'etc/apt/apt.conf.d'));
    expect(files).not.toContain('99mmdebstrap');
    expect(await readFile(join(image, 'etc/apt/sources.list'), 'utf8')).not.toMatch(/:\/\/[^/\s]*@/);
  });

  test(
    'of two builders one builds; killed, it leaves no process, and its drafts go with the next',
    { timeout: 300_000 },
    async () => {
      const first = builder();
      await expect.poll(() => first.said.join(''), { timeout: 120_000 }).toContain('apt-get update');
      const second = builder();
      await expect.poll(() => second.said.join(''), { timeout: 120_000 }).toContain('another process is building it');
      const draftsOf = async () =>
        (await readdir(join(cacheDir, 'images'))).filter((name) => name.startsWith('.draft-'));
      const [abandoned] = await draftsOf();
      await killed(first.child);
      await expect.poll(() => second.said.join(''), { timeout: 120_000 }).toContain('apt-get update');
      expect(await draftsOf()).not.toContain(abandoned);
      expect(await processesAt(String(abandoned))).toEqual([]);
      await killed(second.child);
      await expect.poll(() => processesAt(cacheDir), { timeout: 20_000 }).toEqual([]);
      expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(cacheDir);
      expect((await readdir(join(cacheDir, 'images'))).filter((name) => name.startsWith('base-'))).toEqual([]);
    },
  );
});
