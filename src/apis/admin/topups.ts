import { z } from 'zod';
import type { Payments } from '../../domains/payments/index.ts';
import { ok, route, type Route } from '../contract.ts';

const Exported = z.object({
  file: z.string().meta({ description: 'On the host that has answered. Only its owner can read it.' }),
  paid_addresses: z.int().meta({ description: 'Addresses that have been paid to; the file lists them.' }),
  derivation_path: z.string().meta({ examples: ["m/44'/60'/0'/0/INDEX"] }),
});

export const topupRoutes = ({ payments }: { payments: Pick<Payments, 'exportWallet'> }): Route[] => [
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
