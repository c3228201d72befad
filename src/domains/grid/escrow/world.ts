import type { GridWorld } from '../world.ts';

/** What escrows and tasks stand on. */
export type EscrowWorld = Pick<GridWorld, 'db' | 'ledger' | 'fetch' | 'log'>;
