import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { getAddress } from 'viem/utils';
import { AppError } from '../../kernel/errors.ts';
import { toDecimal } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { recordFact } from '../../platform/outbox.ts';
import { receivedTopups } from './store.ts';
import type { Topup } from './topup.ts';
import { DERIVATION_PATH } from './wallet.ts';
import type { PaymentsWorld } from './world.ts';

const FILE = 'topup-wallet.txt';
const OWNER_ONLY = 0o600;

export type ExportedWallet = { file: string; paidAddresses: number; derivationPath: string };

/**
 * Writes the wallet's words, and which of its addresses have been paid to, into a file of the data directory that only
 * its owner can read. They leave the server in no other way. Throws `not_found` where there is no wallet yet.
 */
export async function exportWallet({ dir, db, log, wallet }: PaymentsWorld, op: Op): Promise<ExportedWallet> {
  const words = await wallet.words();
  if (words === undefined) throw new AppError('not_found', 'Nobody has asked for a top-up yet, so there is no wallet');
  const paid = await receivedTopups(db);
  const file = join(dir, FILE);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await mkdir(dir, { recursive: true });
  try {
    await writeWhole(draft, textOf(words, paid, op.now));
    await rename(draft, file);
  } catch (error) {
    // The words lie nowhere but where the operator looks for them.
    await rm(draft, { force: true });
    throw error;
  }
  await db.transact((tx) =>
    recordFact(tx, op, { type: 'topup_wallet.exported', subject: 'topup_wallet', data: { file } }),
  );
  log.warn({ file, requestId: op.requestId }, 'the wallet of top-ups was written to a file');
  return { file, paidAddresses: paid.length, derivationPath: `${DERIVATION_PATH}/INDEX` };
}

async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', OWNER_ONLY);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const textOf = (words: string, paid: readonly Topup[], now: Date): string =>
  [
    `# The wallet that top-ups are paid to, ${now.toISOString()}. Whoever reads this can take its money: remove it after use.`,
    `words: ${words}`,
    `path: ${DERIVATION_PATH}/INDEX`,
    '# INDEX, address, chain, token, USD that has come to it (all of it, whether or not it was moved on)',
    ...paid.map(({ addressIndex, address, coin, received }) =>
      [addressIndex, getAddress(address), coin.chainId, getAddress(coin.token), toDecimal(received, 'USD')].join(' '),
    ),
    '',
  ].join('\n');
