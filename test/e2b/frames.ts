import { CODE, TOKEN } from './inside.ts';

/** A client of envd's RPCs that shows every frame as it is on the wire. */

export type Frame = { flags: number; message: any }; // oxlint-disable-line typescript/no-explicit-any -- what a server answers is looked at by the test
export type CallOptions = { headers?: Record<string, string>; signal?: AbortSignal };

export const opened = { 'e2b-sandbox-id': CODE, 'x-access-token': TOKEN };

export async function unary(origin: string, method: string, message: unknown, { headers = {} }: CallOptions = {}) {
  const response = await fetch(`${origin}/e2b/envd/${method}`, {
    method: 'POST',
    headers: { ...opened, 'content-type': 'application/json', 'connect-protocol-version': '1', ...headers },
    body: typeof message === 'string' ? message : JSON.stringify(message),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

export const framed = (message: unknown, flags = 0): Uint8Array<ArrayBuffer> => {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const frame = new Uint8Array(5 + json.length);
  frame[0] = flags;
  new DataView(frame.buffer).setUint32(1, json.length);
  frame.set(json, 5);
  return frame;
};

/** Opens a server stream; its frames come one by one. */
export async function stream(
  origin: string,
  method: string,
  message: unknown,
  { headers = {}, signal }: CallOptions = {},
): Promise<{ status: number; frames: AsyncGenerator<Frame>; response: Response }> {
  const response = await fetch(`${origin}/e2b/envd/${method}`, {
    method: 'POST',
    headers: { ...opened, 'content-type': 'application/connect+json', 'connect-protocol-version': '1', ...headers },
    body: message instanceof Uint8Array ? (message as Uint8Array<ArrayBuffer>) : framed(message),
    ...(signal && { signal }),
  });
  return { status: response.status, frames: framesOf(response), response };
}

async function* framesOf(response: Response): AsyncGenerator<Frame> {
  let buffer = Buffer.alloc(0);
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length >= 5 && buffer.length >= 5 + buffer.readUInt32BE(1)) {
      const length = buffer.readUInt32BE(1);
      yield { flags: buffer.readUInt8(0), message: JSON.parse(buffer.subarray(5, 5 + length).toString()) };
      buffer = buffer.subarray(5 + length);
    }
  }
}

export const collect = async (frames: AsyncIterable<Frame>): Promise<Frame[]> => Array.fromAsync(frames);
