import { z } from 'zod';
import type { Ledger } from '../../domains/ledger/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentProof, presentTckProof } from './present-proof.ts';

const Amount = z.string().meta({ description: 'A decimal number.', examples: ['12.5000'] });
const Discrepancy = z.object({ claim: z.string(), where: z.string(), expected: z.string(), found: z.string() });
const ProofShown = z.object({
  valid: z.boolean(),
  sum_of_balances: Amount,
  sum_of_holds: Amount,
  entries_checked: z.int(),
  discrepancies: z.array(Discrepancy),
});
const Reconciled = z.object({
  valid: z.boolean(),
  total_minted: Amount,
  total_in_wallets: Amount,
  total_in_vault: Amount,
  total_in_escrow: Amount,
  total_in_bounties: Amount,
  sum_accounted: Amount,
  discrepancy: Amount,
  conservation: z.object({
    equation: z.string(),
    holds: z.boolean(),
    valid: z.boolean(),
    node_balances: Amount,
    active_escrows: Amount,
    active_bounties: Amount,
    vault_balance: Amount,
    observed_total: Amount,
    mint_issued: Amount,
    discrepancy: Amount,
    flag: z.string().nullable(),
  }),
  checked_at: z.iso.datetime(),
  currencies: z.record(z.enum(['USD', 'TCK']), ProofShown),
});

export type ReconcileDomains = { ledger: Ledger; db: Parameters<Ledger['reconcile']>[0] };

export const reconcileRoutes = ({ ledger, db }: ReconcileDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/ledger/reconcile',
    tag: 'Grid: operator',
    summary: 'Prove that the ledger adds up',
    description: 'The fields beside `currencies` are about TCK.',
    access: 'admin',
    replies: { 200: { description: 'The proof, and where it fails if it does', schema: Reconciled } },
    handle: async (op) => {
      const [proofs, totals] = await Promise.all([ledger.reconcile(db), ledger.totals(db)]);
      return ok({
        ...presentTckProof(proofs.TCK, totals),
        checked_at: op.now.toISOString(),
        currencies: { USD: presentProof('USD', proofs.USD), TCK: presentProof('TCK', proofs.TCK) },
      });
    },
  }),
];
