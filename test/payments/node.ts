import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { createTestClient, http, publicActions, walletActions, type Address, type Hash } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { TOKEN_ABI, TOKEN_CODE } from './token.ts';

const ANVIL = createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil');
const LISTENING = /^Listening on (\S+)$/;
/** Whose accounts anvil gives Ether to. */
const WORDS = 'test test test test test test test test test test test junk';
const HIGH_FEE = 10n ** 11n;
/** So many take it about a second on a busy host. */
const MINED_AT_ONCE = 200;
const MUCH = 10n ** 30n;

export type TestCoin = {
  address: Address;
  /** Sends coins from a customer's wallet; in a block of their own at once. */
  pay(to: string, units: bigint): Promise<Hash>;
  /** Several payments in one transaction. */
  payMany(to: string[], units: bigint[]): Promise<Hash>;
  /** From another wallet, for a fee that puts it ahead of what waits for the same block; not waited for. */
  payAhead(to: string, units: bigint): Promise<Hash>;
};

export type TestNode = {
  url: string;
  client: ReturnType<typeof clientOf>;
  /** A new ERC-20 contract. */
  coin(symbol?: string, decimals?: number): Promise<TestCoin>;
  mine(blocks: number): Promise<void>;
  stop(): Promise<void>;
};

/** A real EVM with a chain of its own (Foundry's anvil), which makes a block of each transaction at once. */
export async function startNode({ chainId = foundry.id }: { chainId?: number } = {}): Promise<TestNode> {
  const args = ['--port', '0', '--chain-id', String(chainId), '--mnemonic', WORDS];
  const child = spawn(ANVIL, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const address = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = LISTENING.exec(line)?.[1];
      if (found) resolve(found);
    });
    void ended.then(() => reject(new Error('anvil ended before it was ready')));
  });
  const url = `http://${await address}`;
  const client = clientOf(url, chainId);
  return {
    url,
    client,
    coin: (symbol = 'USDC', decimals = 6) => deploy(client, symbol, decimals),
    async mine(blocks) {
      for (let left = blocks; left > 0; left -= MINED_AT_ONCE)
        await client.mine({ blocks: Math.min(left, MINED_AT_ONCE) });
    },
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}

const clientOf = (url: string, chainId: number) =>
  createTestClient({
    mode: 'anvil',
    chain: { ...foundry, id: chainId },
    account: mnemonicToAccount(WORDS),
    transport: http(url, { timeout: 60_000 }),
    pollingInterval: 20,
  })
    .extend(publicActions)
    .extend(walletActions);

async function deploy(client: ReturnType<typeof clientOf>, symbol: string, decimals: number): Promise<TestCoin> {
  const there = async (hash: Hash) => client.waitForTransactionReceipt({ hash });
  const { contractAddress: address } = await there(
    await client.deployContract({ abi: TOKEN_ABI, bytecode: TOKEN_CODE, args: [symbol, decimals] }),
  );
  if (!address) throw new Error('no contract was made');
  const contract = { abi: TOKEN_ABI, address } as const;
  const sent = async (hash: Hash) => (await there(hash)).transactionHash;
  await sent(await client.writeContract({ ...contract, functionName: 'mint', args: [client.account.address, MUCH] }));
  return {
    address,
    pay: async (to, units) =>
      sent(await client.writeContract({ ...contract, functionName: 'transfer', args: [to as Address, units] })),
    payMany: async (to, units) =>
      sent(await client.writeContract({ ...contract, functionName: 'transferMany', args: [to as Address[], units] })),
    payAhead: (to, units) =>
      client.writeContract({
        ...contract,
        account: mnemonicToAccount(WORDS, { addressIndex: 1 }),
        functionName: 'mint',
        args: [to as Address, units],
        maxPriorityFeePerGas: HIGH_FEE,
        maxFeePerGas: 2n * HIGH_FEE,
      }),
  };
}
