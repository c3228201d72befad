import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBlobs } from '../../src/domains/environments/blobs.ts';
import { runBoth } from '../../src/domains/environments/check.ts';
import type { Sample } from '../../src/domains/environments/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { environmentsWorld, type World } from './world.ts';
import { readdirSync } from 'node:fs';
import { STARTER_DIR } from '../../src/domains/environments/starter.ts';

/** Two gradings, on a host that may be busy: dozens of processes are started in each. */
const BOTH_MS = 240_000;
const NAMES = readdirSync(`${STARTER_DIR}/samples`).toSorted();

let world: World;
let samples: Map<string, Sample>;
beforeAll(async () => {
  world = await environmentsWorld();
  const { samples: all } = await world.environments.samples(world.system(), { dataset: 'starter' });
  samples = new Map(all.map((sample) => [sample.sampleId, sample]));
}, 900_000);
afterAll(() => world.close());

describe('every sample of the starter is solved by its own solution and by nothing else', () => {
  test.each(NAMES)(
    '%s',
    async (name) => {
      const sample = samples.get(name);
      if (!sample) throw new Error(`there is no sample ${name}`);
      const kit = { ...world, blobs: openBlobs(world.dir), log: createLog({ level: 'warn' }) };
      const { gold, nothing } = await runBoth(kit, world.system(), sample);
      const { failToPass, passToPass } = sample.text;
      expect({ said: gold?.isSuccess ? '' : gold?.stdout, passes: gold?.passes, failures: gold?.failures }).toEqual({
        said: '',
        passes: [...failToPass, ...passToPass].toSorted(),
        failures: [],
      });
      expect(nothing.isSuccess).toBe(false);
      expect(nothing.failures).toEqual([...failToPass].toSorted());
    },
    BOTH_MS,
  );
});
