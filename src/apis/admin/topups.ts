import { z } from 'zod';
import type { Payments } from '../../domains/payments/index.ts';
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

export type TopupDomains = { payments: Pick<Payments, 'exportWallet' | 'rescan'> };

export const topupRoutes = ({ payments }: TopupDomains): Route[] => [
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
