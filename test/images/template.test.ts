import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLedger, mint, wallet } from '../../src/domains/ledger/index.ts';
import { createSandboxes } from '../../src/domains/sandboxes/index.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { cents, usd } from '../../src/kernel/money.ts';
import { createLog } from '../../src/platform/log.ts';
import { accountOp } from '../harness/op.ts';
import { imageOf, ociArchive, tinyTree } from './archive.ts';
import { imagesWorld, sent } from './images-world.ts';

const world = imagesWorld();
let tree: string;
beforeAll(async () => void (tree = await tinyTree()));
afterAll(() => rm(tree, { recursive: true }));

async function sandboxesWithMoney() {
  const { db } = world.database;
  const ledger = createLedger({ db });
  const { machines, images, clock } = world;
  await db.transact(async (tx) => {
    await ledger.openWallet(tx, world.owner);
    await ledger.transfer(tx, world.op(), {
      id: uuidv7(new Date()) as TransferId,
      type: 'deposit',
      description: 'Test money',
      legs: [
        { account: mint('USD'), amount: usd(-cents(100)) },
        { account: wallet(world.owner, 'USD'), amount: cents(100) },
      ],
    });
  });
  const log = createLog({ level: 'error' });
  const jobs = { nudge: async () => {} };
  return createSandboxes({ db, clock, log, jobs, ledger, machines, images, secret: Buffer.alloc(32, 7) });
}

test(
  'an image is a template: a sandbox starts from it by its name, for its owner alone',
  { timeout: 120_000 },
  async () => {
    const op = world.asOwner();
    const sandboxes = await sandboxesWithMoney();
    const archive = await ociArchive(await imageOf([tree], { Env: ['GREETING=hello'] }));
    await world.images.upload(op, { name: 'mine' }, sent(archive));
    const wanted = { origin: 'agents', template: 'mine' } as const;
    await expect(sandboxes.create(op, wanted)).rejects.toMatchObject({ code: 'conflict' });
    await world.build();
    const sandbox = await sandboxes.create(op, wanted);
    expect(sandbox).toMatchObject({ template: 'mine', state: 'running' });
    const outcome = await world.machines.exec(op, sandbox.machineId, { command: 'echo "$GREETING $(id -un)"' });
    expect(outcome.stdout.toString()).toBe('hello user\n');
    const other = accountOp(uuidv7(new Date()) as AccountId);
    for (const template of ['mine', 'builder'])
      await expect(sandboxes.create(other, { origin: 'agents', template })).rejects.toMatchObject({
        code: 'not_found',
        message: `Template not found: ${template}`,
      });
  },
);
