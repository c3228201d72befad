import type { Duplex } from 'node:stream';

/** What the first bytes of a connection say of whom it is for. */
export type Greeting = { kind: 'tls'; name: string | undefined } | { kind: 'http' } | { kind: 'other' }; // nothing came, or something else

/** A hello of TLS with every extension that is in use is far smaller. */
const MAX_BYTES = 16_384;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const METHOD = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT|[A-Z]{3,20}) /;

/** Reads as much as is needed and puts it back, so that whoever has the stream next misses nothing. */
export async function greetingOf(stream: Duplex, waitMs: number): Promise<Greeting> {
  let bytes = Buffer.alloc(0);
  const until = AbortSignal.timeout(waitMs);
  try {
    for (;;) {
      const greeting = understood(bytes);
      if (greeting) return greeting;
      const chunk = await nextChunk(stream, until);
      if (!chunk) return { kind: 'other' };
      bytes = Buffer.concat([bytes, chunk]);
    }
  } finally {
    if (bytes.length > 0 && !stream.destroyed) stream.unshift(bytes);
  }
}

function nextChunk(stream: Duplex, until: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const done = (chunk?: Buffer) => {
      stream.off('readable', look);
      stream.off('end', end);
      stream.off('close', end);
      until.removeEventListener('abort', end);
      resolve(chunk);
    };
    const end = () => done();
    const look = () => {
      const chunk: Buffer | null = stream.read();
      if (chunk) done(chunk);
    };
    stream.on('readable', look);
    stream.once('end', end);
    stream.once('close', end);
    until.addEventListener('abort', end, { once: true });
    if (until.aborted || stream.destroyed) end();
  });
}

/** Undefined where more has to come before it can be said. */
export function understood(bytes: Buffer): Greeting | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes[0] === HANDSHAKE) return helloIn(bytes);
  const text = bytes.subarray(0, 24).toString('latin1');
  if (METHOD.test(text)) return { kind: 'http' };
  return /^[A-Z]{0,20}$/.test(text) ? undefined : { kind: 'other' };
}

/** The hello may be cut into several records. */
function helloIn(bytes: Buffer): Greeting | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== HANDSHAKE) return { kind: 'other' };
    if (bytes.length < at + RECORD_HEADER) break;
    const end = at + RECORD_HEADER + bytes.readUInt16BE(at + 3);
    parts.push(bytes.subarray(at + RECORD_HEADER, end));
    at = end;
  }
  const hello = Buffer.concat(parts);
  if (hello.length >= 4) {
    if (hello[0] !== CLIENT_HELLO) return { kind: 'other' };
    const length = hello.readUIntBE(1, 3);
    if (length > MAX_BYTES) return { kind: 'other' };
    if (hello.length >= 4 + length) return { kind: 'tls', name: nameIn(hello.subarray(4, 4 + length)) };
  }
  return bytes.length > MAX_BYTES ? { kind: 'other' } : undefined;
}

const VERSION_AND_RANDOM = 34;
const SERVER_NAME = 0;

/** The server name (RFC 6066) of a ClientHello, in lower case; undefined where it has none or is malformed. */
function nameIn(hello: Buffer): string | undefined {
  try {
    let at = VERSION_AND_RANDOM;
    at += 1 + hello.readUInt8(at);
    at += 2 + hello.readUInt16BE(at);
    at += 1 + hello.readUInt8(at);
    const end = at + 2 + hello.readUInt16BE(at);
    for (at += 2; at + 4 <= end;) {
      const [type, length] = [hello.readUInt16BE(at), hello.readUInt16BE(at + 2)];
      // The list has one entry in practice: two bytes of length, one of kind, two of the name's length.
      if (type === SERVER_NAME) {
        const name = hello.subarray(at + 9, at + 9 + hello.readUInt16BE(at + 7));
        return hello.readUInt8(at + 6) === 0 ? hostName(name.toString('latin1')) : undefined;
      }
      at += 4 + length;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

const HOST = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** A host name as it is compared; undefined for what is none. */
export function hostName(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, '');
  return HOST.test(name) ? name : undefined;
}
