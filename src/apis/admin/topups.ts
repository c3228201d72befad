import { z } from 'zod';
import { MAX_LISTED_ASIDE, type AsidePayment, type Payments } from '../../domains/payments/index.ts';
import { toDecimal } from '../../kernel/money.ts';
import { accepted, ok, route, type Route } from '../contract.ts';

const Exported = z.object({
  file: z.string().meta({ description: 'On the host that has answered. Only its owner can read it.' }),
  paid_addresses: z.int().meta({ description: 'Addresses that have been paid to; the file lists them.' }),
  derivation_path: z.string().meta({ examples: ["m/44'/60'/0'/0/INDEX"] }),
});

const Rescan = z.object({
  topup_id: z.uuid().optional().meta({ description: 'Of this top-up alone.' }),
  account_id: z.uuid().optional().meta({ description: 'Of this account alone.' }),
});
const Rescanned = z.object({ addresses: z.int().meta({ description: 'Addresses that are read for.', examples: [1] }) });

const Aside = z.object({
  payments: z.array(
    z.object({
      topup_id: z.uuid(),
      account_id: z.uuid(),
      chain_id: z.int(),
      tx_hash: z.string(),
      log_index: z.int(),
      block: z.int(),
      coin: z.string().meta({ examples: ['USDC'] }),
      units: z.string().meta({ description: 'In the coin’s smallest unit.', examples: ['1000000000000000'] }),
      amount_usd: z.string().meta({ examples: ['1000000000.000000'] }),
      set_aside_at: z.iso.datetime(),
    }),
  ),
});

const presentAside = (payment: AsidePayment): z.input<typeof Aside>['payments'][number] => ({
  topup_id: payment.topupId,
  account_id: payment.accountId,
  chain_id: payment.chainId,
  tx_hash: payment.txHash,
  log_index: payment.logIndex,
  block: Number(payment.block),
  coin: payment.symbol,
  units: String(payment.units),
  amount_usd: toDecimal(payment.amount, 'USD'),
  set_aside_at: payment.setAsideAt.toISOString(),
});

export type TopupDomains = { payments: Pick<Payments, 'exportWallet' | 'listAside' | 'rescan'> };

export const topupRoutes = ({ payments }: TopupDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/topups/set-aside',
    tag: 'Operations',
    summary: 'List payments that were set aside, newest first',
    description: `What has settled on its chain and is not credited, because the ledger has no room for so much or it is too large to be true; the newest ${MAX_LISTED_ASIDE}. Once there is room, a rescan of the top-up credits it.`,
    access: 'admin',
    replies: { 200: { description: 'The payments', schema: Aside } },
    handle: async () => ok({ payments: (await payments.listAside()).map(presentAside) }),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/topups/rescan',
    tag: 'Operations',
    summary: 'Have the chain read once more for addresses of top-ups',
    description:
      'From the first block on that each can have been paid in, also where it is watched no more. What was missed is credited; nothing is credited twice. It takes a while, and new payments do not wait for it.',
    access: 'admin',
    body: Rescan,
    fails: ['not_found'],
    replies: { 202: { description: 'It begins with the next look at the chain', schema: Rescanned } },
    handle: async (op, { body }) => {
      const addresses = await payments.rescan(op, { topupId: body.topup_id, accountId: body.account_id });
      return accepted({ addresses });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/admin/topups/wallet',
    tag: 'Operations',
    summary: 'Write the wallet that top-ups are paid to into a file of the data directory',
    description: 'Its words leave the server in no other way, and are in no reply.',
    access: 'admin',
    fails: ['not_found'],
    replies: { 200: { description: 'Where it is', schema: Exported } },
    handle: async (op) => {
      const { file, paidAddresses, derivationPath } = await payments.exportWallet(op);
      return ok({ file, paid_addresses: paidAddresses, derivation_path: derivationPath });
    },
  }),
];
