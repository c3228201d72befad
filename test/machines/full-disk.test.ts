import { mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMachines } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createLog } from '../../src/platform/log.ts';
import { must } from '../../src/platform/run.ts';
import { testDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { prepareTestHost, SMALL, testHost } from './host.ts';

const MIB = 2 ** 20;
/** Of the file system that the data directory stands on. */
const SIZE_BYTES = 1_536 * MIB;

let folder: string;
let dataDir: string;

beforeAll(async () => {
  await prepareTestHost();
  folder = await mkdtemp(join(tmpdir(), 'freehold-small-'));
  dataDir = join(folder, 'data');
  const disk = join(folder, 'disk');
  await writeFile(disk, '');
  await truncate(disk, SIZE_BYTES);
  await must(['mkfs.ext4', '-q', '-F', '-m', '0', disk]);
  await must(['mkdir', dataDir]);
  await must(['mount', '-o', 'loop', disk, dataDir]);
}, 900_000);
afterAll(async () => {
  await must(['umount', dataDir]);
  await rm(folder, { recursive: true });
});

test('a machine that fills its disk leaves some of the host’s, loses nothing, and goes on when there is room', async () => {
  const [host, database] = [await testHost('crun', { dataDir }), await testDatabase()];
  const log = createLog({ level: 'silent' });
  const machines = createMachines({ db: database.db, driver: host.driver, clock: systemClock, log });
  const op = () => systemOp(new Date());
  const limits = { ...SMALL, diskGb: 2 };
  const wish = { accountId: uuidv7(new Date()) as AccountId, purpose: 'test', limits, leaseMs: 10 * MINUTE };
  const { id } = await machines.start(op(), { ...wish, network: 'none' });
  const run = await machines.run(op(), id, {
    // Not as fast as it can: a brake that is pulled once a second stops what a disk can take in a second.
    command:
      'i=0; while [ $i -lt 150 ]; do dd if=/dev/urandom of=f$i bs=1M count=10 status=none && sync; i=$((i+1)); sleep 0.05; done',
    onDisconnect: 'keep',
  });
  run.close();
  const ballast = join(dataDir, 'ballast');
  await must(['fallocate', '-l', String(500 * MIB), ballast]);
  const state = async () => {
    await machines.holdBack(op());
    return (await machines.get(op(), id)).state;
  };
  await expect.poll(state, { timeout: 60_000, interval: 300 }).toBe('paused');
  const { bavail, bsize } = await statfs(dataDir);
  expect(bavail * bsize).toBeGreaterThan(64 * MIB);
  await expect(machines.start(op(), { ...wish, network: 'none' })).rejects.toMatchObject({ code: 'at_capacity' });
  await rm(ballast);
  expect(await machines.holdBack(op())).toBe(1);
  const { kind } = await machines.exec(op(), id, { command: 'sync; md5sum f*' });
  expect(kind).toBe('exited');
  expect(await machines.runs(op(), id)).toHaveLength(1);
  await host.dispose().catch(() => {});
  await database.drop();
}, 180_000);
