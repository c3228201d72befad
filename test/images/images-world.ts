import { afterEach, beforeAll, beforeEach } from 'vitest';
import {
  createImages,
  createMachines,
  imageEnvironments,
  openShelf,
  type Image,
  type Images,
  type Shelf,
} from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import type { AccountOp } from '../../src/kernel/op.ts';
import { createLog } from '../../src/platform/log.ts';
import { accountOp } from '../harness/op.ts';
import { CACHE_DIR } from '../machines/host.ts';
import { machinesWorld, type MachinesWorld } from '../machines/machines-world.ts';

export type ImagesWorld = MachinesWorld & {
  images: Images;
  shelf: Shelf;
  /** The owner of the images acts. */
  asOwner(): AccountOp;
  /** Makes all that is to be made. */
  build(signal?: AbortSignal): Promise<void>;
  tend(): Promise<number>;
  /** What a command prints in a machine of an image. */
  printed(image: Image, command: string, user?: string): Promise<string>;
};

type Options = { insecureRegistries?: string[] };

/** Images over machines, with a builder that builds when it is told. */
export function imagesWorld({ insecureRegistries = [] }: Options = {}): ImagesWorld {
  const base = machinesWorld();
  const world = base as ImagesWorld;
  let calls = 0;
  world.asOwner = () => accountOp(base.owner, { now: base.clock.now() });
  world.build = async (signal) => {
    for (let seen = -1; seen !== calls;) {
      seen = calls;
      const op = base.op();
      for (const job of world.images.jobs) await job.run(signal ? { ...op, signal } : op, {} as never);
    }
  };
  world.tend = async () => {
    let done = 0;
    for (const sweep of world.images.sweeps) done += await sweep.runDue(base.op());
    return done;
  };
  world.printed = async (image, command, user = 'user') => {
    const key = await world.images.resolve(base.owner, image.name);
    const id: MachineId = await base.started({ image: key });
    const outcome = await base.machines.exec(base.op(), id, { command, user });
    if (outcome.kind !== 'exited' || outcome.exitCode !== 0)
      throw new Error(`${command}: ${outcome.kind}: ${outcome.stderr.toString()}`);
    return outcome.stdout.toString();
  };

  beforeAll(async () => {
    const shelf = await openShelf({ cacheDir: CACHE_DIR, dataDir: '/nowhere' });
    await shelf.prepareBuilder();
  }, 900_000);
  beforeEach(async () => {
    calls = 0;
    const { db } = base.database;
    const log = createLog({ level: 'error' });
    const { driver, dataDir } = base.host;
    base.machines = createMachines({ db, driver, clock: base.clock, log, environmentOf: imageEnvironments(db) });
    world.shelf = await openShelf({ cacheDir: CACHE_DIR, dataDir });
    world.images = createImages({
      db,
      clock: base.clock,
      log,
      machines: base.machines,
      shelf: world.shelf,
      jobs: { enqueue: async () => void (calls += 1) },
      insecureRegistries,
    });
  });
  afterEach(async () => {
    for (const { id } of await base.machines.list(base.op())) await base.machines.destroy(base.op(), id);
  });
  return world;
}

/** Content that comes in one piece. */
export async function* sent(content: Buffer): AsyncIterable<Uint8Array> {
  yield content;
}
