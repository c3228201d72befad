import type { Proof, Total } from '../../domains/ledger/index.ts';
import { toDecimal, type Currency } from '../../kernel/money.ts';

export const presentProof = (currency: Currency, proof: Proof) => ({
  valid: proof.valid,
  sum_of_balances: toDecimal(proof.sumOfBalances, currency),
  sum_of_holds: toDecimal(proof.sumOfHolds, currency),
  entries_checked: Number(proof.entriesChecked),
  discrepancies: proof.discrepancies,
});

/** The grid's own equation: whatever was minted is in wallets, in the vault, in escrow or in bounties. */
export function presentTckProof(proof: Proof, totals: Total[]) {
  const posted = (kind: string) =>
    totals.find((total) => total.currency === 'TCK' && total.kind === kind)?.posted ?? 0n;
  const minted = -posted('mint');
  const places = {
    wallets: posted('wallet'),
    vault: posted('vault'),
    escrow: posted('escrow'),
    bounties: posted('bounty'),
  };
  const accounted = places.wallets + places.vault + places.escrow + places.bounties;
  const shown = (amount: bigint) => toDecimal(amount, 'TCK');
  return {
    valid: proof.valid && minted === accounted,
    total_minted: shown(minted),
    total_in_wallets: shown(places.wallets),
    total_in_vault: shown(places.vault),
    total_in_escrow: shown(places.escrow),
    total_in_bounties: shown(places.bounties),
    sum_accounted: shown(accounted),
    discrepancy: shown(minted - accounted),
    conservation: {
      equation: 'total_minted = total_in_wallets + total_in_vault + total_in_escrow + total_in_bounties',
      holds: minted === accounted,
      valid: minted === accounted,
      node_balances: shown(places.wallets),
      active_escrows: shown(places.escrow),
      active_bounties: shown(places.bounties),
      vault_balance: shown(places.vault),
      observed_total: shown(accounted),
      mint_issued: shown(minted),
      discrepancy: shown(accounted - minted),
      flag: minted === accounted ? null : 'CONSERVATION_VIOLATION: funds created or destroyed outside MINT',
    },
  };
}
