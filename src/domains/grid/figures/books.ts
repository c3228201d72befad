import { isUuid, parseNodeId, type AccountId, type EscrowId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import { bounty, escrow, mint, PLAY_VAULT, VAULT, wallet, type Code, type JournalEntry } from '../../ledger/index.ts';
import { findNode } from '../nodes/store.ts';
import type { GridWorld } from '../world.ts';
import { nodeNames } from './store.ts';

/** An entry of the books with its accounts as the grid calls them: nodes, `ESCROW:<id>`, `VAULT`, `VAULT:SANDBOX`, `MINT`. */
export type NamedEntry = Omit<JournalEntry, 'account' | 'counterparty'> & {
  account: string;
  counterparty: string | undefined;
};

export type BooksQuery = { account: string | undefined; type: string | undefined; limit: number };

const ESCROW = /^ESCROW:(?!BOUNTY:)(.+)$/;
const BOUNTY = /^ESCROW:BOUNTY:(.+)$/;
const PLAY_VAULT_NAME = 'VAULT:SANDBOX';

/** The newest entries in TCK, of one account where one is named; none of one that there is not. */
export async function readBooks({ db, ledger }: GridWorld, query: BooksQuery): Promise<NamedEntry[]> {
  const account = query.account === undefined ? undefined : await codeOf(db, query.account);
  if (query.account !== undefined && !account) return [];
  const entries = await ledger.journal(db, { currency: 'TCK', account, type: query.type, limit: query.limit });
  const owners = [...new Set(entries.flatMap(ownersOf))];
  const names = await nodeNames(db, owners);
  return entries.map((entry) => ({
    ...entry,
    account: nameOf(entry.account, names),
    counterparty: entry.counterparty && nameOf(entry.counterparty, names),
  }));
}

async function codeOf(db: Db, name: string): Promise<Code | undefined> {
  if (name === 'VAULT') return VAULT;
  if (name === PLAY_VAULT_NAME) return PLAY_VAULT;
  if (name === 'MINT') return mint('TCK');
  const [escrowId, bountyId] = [ESCROW.exec(name)?.[1], BOUNTY.exec(name)?.[1]];
  if (escrowId !== undefined) return isUuid(escrowId) ? escrow(escrowId as EscrowId) : undefined;
  if (bountyId !== undefined) return isUuid(bountyId) ? bounty(bountyId) : undefined;
  const id = parseNodeId(name);
  const node = id && (await findNode(db, id));
  return node && wallet(node.accountId, 'TCK');
}

/** `wallet:<account>:TCK`, `escrow:<id>:TCK`, `vault:TCK`. */
const partsOf = (code: Code): { kind: string; owner: string } => {
  const [kind = '', owner = ''] = code.split(':');
  return { kind, owner };
};

function ownersOf({ account, counterparty }: JournalEntry): AccountId[] {
  const codes = counterparty ? [account, counterparty] : [account];
  return codes.map(partsOf).flatMap(({ kind, owner }) => (kind === 'wallet' ? [owner as AccountId] : []));
}

function nameOf(code: Code, names: Map<string, string>): string {
  if (code === PLAY_VAULT) return PLAY_VAULT_NAME;
  const { kind, owner } = partsOf(code);
  if (kind === 'wallet') return names.get(owner) ?? owner;
  if (kind === 'escrow') return `ESCROW:${owner}`;
  return kind === 'bounty' ? `ESCROW:BOUNTY:${owner}` : kind.toUpperCase();
}
