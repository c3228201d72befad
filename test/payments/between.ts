import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { encodeAbiParameters, encodeFunctionData } from 'viem';
import { TOKEN_ABI } from './token.ts';

type Question = { id: number; method: string; params: unknown[] };
/** What is answered in place of the node: a body of any kind, `undefined` to let it through, `silence` for nothing at all. */
type Trick = (question: Question) => { status?: number; body: string } | 'silence' | undefined;

export type Between = {
  url: string;
  /** What was asked since the last time that this was emptied. */
  asked: string[];
  trick: Trick | undefined;
  /** Waited for before a question is answered. */
  before: ((question: Question) => Promise<void>) | undefined;
  stop(): Promise<void>;
};

/** Stands between the server and a node, as a provider does, and fails or lies when it is told to. */
export async function startBetween(nodeUrl: string): Promise<Between> {
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const question = JSON.parse(body) as Question;
    between.asked.push(question.method);
    await between.before?.(question);
    const answer = between.trick?.(question);
    if (answer === 'silence') return;
    const reply = answer ?? (await passOn(nodeUrl, body));
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json' }).end(reply.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const between: Between = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    trick: undefined,
    before: undefined,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return between;
}

async function passOn(url: string, body: string): Promise<{ status: number; body: string }> {
  const reply = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return { status: reply.status, body: await reply.text() };
}

export const answer = ({ id }: Question, result: unknown) => ({ body: JSON.stringify({ jsonrpc: '2.0', id, result }) });
export const refusal = ({ id }: Question, message: string) => ({
  body: JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32_005, message } }),
});

const STILL_COIN = '0x00000000000000000000000000000000000000c0';
const STILL_BLOCK = { number: '0x10', hash: `0x${'cd'.repeat(32)}` };

/** A chain on which nothing ever happens, for tests that are not about payments. */
export async function startStillChain(): Promise<Between & { token: string }> {
  const decimals = encodeFunctionData({ abi: TOKEN_ABI, functionName: 'decimals' });
  const between = await startBetween('http://127.0.0.1:9');
  between.trick = (question) => {
    const [asked] = question.params as [{ data: string }];
    if (question.method === 'eth_chainId') return answer(question, '0x7a69');
    if (question.method === 'eth_getBlockByNumber') return answer(question, STILL_BLOCK);
    if (question.method === 'eth_getLogs') return answer(question, []);
    return answer(
      question,
      asked.data === decimals
        ? encodeAbiParameters([{ type: 'uint8' }], [6])
        : encodeAbiParameters([{ type: 'string' }], ['USDC']),
    );
  };
  return Object.assign(between, { token: STILL_COIN });
}
