import { z } from 'zod';
import type { OutgoingFetch } from '../../platform/fetch.ts';

/** From the first look-up to the last byte. */
export const RPC_TIME_LIMIT_MS = 15_000;
/** The logs of a wide range are long. What is cut off is no JSON, and the range is read in smaller parts. */
export const MAX_RPC_REPLY_BYTES = 16_000_000;
const MAX_REASON_LENGTH = 200;
const OK = 200;

/** `refused`: the node has understood the question and will not answer it, as with a range that it finds too wide. */
export type RpcFailure = { ok: false; kind: 'refused' | 'unreachable' | 'nonsense'; reason: string };
export type RpcAnswer<Value> = { ok: true; value: Value } | RpcFailure;

/** Asks a node by JSON-RPC; an answer that is not of the expected shape is a failure like any other. */
export type Rpc = <Schema extends z.ZodType>(
  method: string,
  params: readonly unknown[],
  schema: Schema,
  signal: AbortSignal,
) => Promise<RpcAnswer<z.output<Schema>>>;

const Envelope = z.object({
  id: z.number(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).nullish(),
});

export function createRpc({ url, send }: { url: string; send: OutgoingFetch['send'] }): Rpc {
  let asked = 0;
  return async (method, params, schema, signal) => {
    const id = ++asked;
    const failure = (kind: RpcFailure['kind'], why: string): RpcFailure => ({
      ok: false,
      kind,
      reason: `${method}: ${why}`.slice(0, MAX_REASON_LENGTH),
    });
    const reply = await send({
      url,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
      signal,
    });
    if (!reply.ok) return failure('unreachable', reply.reason);
    const envelope = Envelope.safeParse(parsed(reply.body));
    // Nodes tell of their refusals with any status.
    if (envelope.data?.error) return failure('refused', `${envelope.data.error.code} ${envelope.data.error.message}`);
    if (reply.status !== OK) return failure('unreachable', `status ${reply.status}`);
    if (envelope.data?.id !== id) return failure('nonsense', 'no answer to this question');
    const result = schema.safeParse(envelope.data.result);
    return result.success ? { ok: true, value: result.data } : failure('nonsense', 'an answer of another shape');
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // which no schema takes
  }
}
