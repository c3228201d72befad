import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { duplexPair } from 'node:stream';
import { greetingOf, hostName, understood } from './greeting.ts';

/** The first bytes of a real client. */
async function hello(servername?: string): Promise<Buffer> {
  const [near, far] = duplexPair();
  const client = connect({ socket: near, ...(servername !== undefined && { servername }) });
  client.on('error', () => {});
  const [bytes] = await once(far, 'data');
  client.destroy();
  return bytes;
}

test('a hello of TLS tells the name that it asks for', async () => {
  expect(understood(await hello('API.Example.com'))).toEqual({ kind: 'tls', name: 'api.example.com' });
  expect(understood(await hello())).toEqual({ kind: 'tls', name: undefined });
});

test('a hello that comes byte by byte, or in small records, is understood at its end and not before', async () => {
  const bytes = await hello('api.example.com');
  for (let length = 1; length < bytes.length; length += 7)
    expect(understood(bytes.subarray(0, length))).toBeUndefined();
  const records: Buffer[] = [];
  for (let at = 5; at < bytes.length; at += 100) {
    const part = bytes.subarray(at, at + 100);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  expect(understood(Buffer.concat(records))).toEqual({ kind: 'tls', name: 'api.example.com' });
});

test('whatever comes is understood or waited for, within bounds, and never an error', async () => {
  const real = await hello('api.example.com');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (noise, at) => {
      const broken = Buffer.from(real);
      broken.set(noise.subarray(0, broken.length - (at % broken.length)), at % broken.length);
      for (const bytes of [Buffer.from(noise), Buffer.from([22, ...noise]), broken]) understood(bytes);
    }),
    { numRuns: 2_000 },
  );
  expect(understood(Buffer.alloc(20_000, 22))).toBeDefined();
});

test('what was read is there for whoever reads next, and silence has an end', async () => {
  const stream = new PassThrough();
  stream.write('GET / HT');
  expect(await greetingOf(stream, 1_000)).toEqual({ kind: 'http' });
  stream.end('TP/1.1\r\n');
  expect((await stream.toArray()).join('')).toBe('GET / HTTP/1.1\r\n');
  expect(await greetingOf(new PassThrough(), 10)).toEqual({ kind: 'other' });
});

test('names are compared in lower case without a last dot', () => {
  expect([hostName('A.Example.'), hostName('a b'), hostName('[::1]'), hostName('')]).toEqual([
    'a.example',
    undefined,
    undefined,
    undefined,
  ]);
});
