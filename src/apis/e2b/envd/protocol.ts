import type { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import type { RawRequest } from '../../contract.ts';
import { headerOf, hold, type Visit } from './access.ts';
import { RpcFailure } from './failure.ts';

/** Connect RPC as its JSON clients speak it: messages, and frames of a stream. */

const MAX_MESSAGE_BYTES = 8 * 1_024 * 1_024;
const FRAME_HEADER_BYTES = 5;
const MESSAGE = 0;
const COMPRESSED = 1;
const END = 2;
const MAX_TIMEOUT_DIGITS = 10;

/** One message in its frame: a byte of flags, the length, the JSON. */
export const messageFrame = (message: unknown): Buffer => frame(MESSAGE, message);
/** The last frame of a stream; without one the client takes it for broken. */
export const endFrame = (trailer: { error?: { code: string; message: string } }): Buffer => frame(END, trailer);

function frame(flags: number, content: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(content));
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(flags, 0);
  header.writeUInt32BE(json.length, 1);
  return Buffer.concat([header, json]);
}

/** The message of a unary call. */
export async function readMessage<Message>(visit: Visit, schema: z.ZodType<Message>): Promise<Message> {
  const { request } = visit;
  expectType(request, 'application/json');
  if (headerOf(request, 'content-encoding') !== undefined) throw noCompression();
  return parse(await readBody(visit, MAX_MESSAGE_BYTES), schema);
}

/** The one message that begins a stream. */
export async function readFramed<Message>(visit: Visit, schema: z.ZodType<Message>): Promise<Message> {
  expectType(visit.request, 'application/connect+json');
  const body = await readBody(visit, MAX_MESSAGE_BYTES + FRAME_HEADER_BYTES);
  if (body.length < FRAME_HEADER_BYTES) throw new RpcFailure('invalid_argument', 'The request has no message');
  const flags = body.readUInt8(0);
  if ((flags & COMPRESSED) !== 0) throw noCompression();
  if (flags !== MESSAGE || body.readUInt32BE(1) !== body.length - FRAME_HEADER_BYTES)
    throw new RpcFailure('invalid_argument', 'The request must be one message in one frame');
  return parse(body.subarray(FRAME_HEADER_BYTES), schema);
}

function expectType(request: RawRequest, type: string): void {
  const given = (headerOf(request, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (given !== type) throw new RpcFailure('invalid_argument', `Content-Type must be ${type}`);
}

const noCompression = (): RpcFailure => new RpcFailure('unimplemented', 'Compressed messages are not supported');

/** It counts as held until the visit is over: what it holds may have to wait for a process that takes no input. */
async function readBody(visit: Visit, max: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of visit.request.body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > max) throw new AppError('too_large', `A message may have at most ${MAX_MESSAGE_BYTES} bytes`);
    hold(visit, chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse<Message>(bytes: Buffer, schema: z.ZodType<Message>): Message {
  const parsed = schema.safeParse(readJson(bytes));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new RpcFailure('invalid_argument', `${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'not valid'}`);
}

function readJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(bytes.toString());
  } catch (cause) {
    throw new RpcFailure('invalid_argument', 'The message is not JSON', { cause });
  }
}

/** `Connect-Timeout-Ms`: how long the caller lets it take; undefined without end. */
export function timeoutMs(request: RawRequest): number | undefined {
  const text = headerOf(request, 'connect-timeout-ms');
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text) || text.length > MAX_TIMEOUT_DIGITS)
    throw new RpcFailure('invalid_argument', 'Connect-Timeout-Ms must be milliseconds');
  return Number(text) || undefined;
}
