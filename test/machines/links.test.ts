import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { layoutOf, placesOf } from '../../src/domains/machines/drivers/oci/layout.ts';
import { linkAt } from '../../src/domains/machines/drivers/oci/network.ts';
import { readRecord } from '../../src/domains/machines/drivers/oci/record.ts';
import { newMachineId, prepareTestHost, testHost } from './host.ts';

beforeAll(() => prepareTestHost(), 900_000);

test('a machine gets no link for which a dead one still has rules', async () => {
  const host = await testHost('crun');
  const id = newMachineId();
  const link = linkAt(createHash('sha256').update(id).digest().readUInt32BE(0) % 65_536).name;
  const dead = placesOf(layoutOf(host), newMachineId());
  await mkdir(dead.dir);
  await writeFile(dead.rules, JSON.stringify({ allow: [], deny: ['0.0.0.0/0'], link }));
  await host.create({ id });
  const record = await readRecord(placesOf(layoutOf(host), id).record);
  expect(record?.link).toMatch(/^fh/);
  expect(record?.link).not.toBe(link);
  await host.dispose();
});
