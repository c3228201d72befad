import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostKeyOf, MAX_AUTHORIZED_KEYS, parseAuthorizedKeys } from '../../src/domains/machines/ssh-keys.ts';

const run = promisify(execFile);
const secret = Buffer.alloc(32, 7);

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'freehold-keys-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

let made = 0;
async function keygen(...options: string[]): Promise<string> {
  const file = join(folder, `key-${(made += 1)}`);
  await run('ssh-keygen', ['-q', '-N', '', '-C', 'me@home', '-f', file, ...options]);
  return (await readFile(`${file}.pub`, 'utf8')).trim();
}

describe('keys that may come in', () => {
  test.each([
    ['ed25519', '256'],
    ['ecdsa', '256'],
    ['ecdsa', '384'],
    ['ecdsa', '521'],
    ['rsa', '2048'],
    ['rsa', '4096'],
  ])('%s of %s bits is taken as OpenSSH writes it', async (type, bits) => {
    const key = await keygen('-t', type, '-b', bits);
    expect(parseAuthorizedKeys([` ${key}\n`])).toEqual([key]);
  });

  test('the same key twice is one, and a key needs no comment', async () => {
    const key = (await keygen('-t', 'ed25519')).split(' ').slice(0, 2).join(' ');
    expect(parseAuthorizedKeys([key, key])).toEqual([key]);
  });

  const refused = (lines: string[]): string => {
    try {
      return `taken: ${parseAuthorizedKeys(lines).join(', ')}`;
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('what is no such key is refused with its reason', async () => {
    const key = await keygen('-t', 'ed25519');
    const [type = '', blob = ''] = key.split(' ');
    const cases: [string, RegExp][] = [
      ['', /must begin with its type/],
      ['hello', /must begin with its type/],
      [`command="sh" ${key}`, /options are not taken/],
      [`from="*",${key}`, /options are not taken/],
      [await keygen('-t', 'rsa', '-b', '1024'), /has 1024 bits: RSA keys need 2048/],
      [type, /no base64/],
      [`${type} ${blob}=`, /no base64/],
      [`${type} ${blob.slice(0, -4)}`, /damaged/],
      [`${type} ${blob}${blob}`, /damaged|base64/],
      [`ssh-rsa ${blob}`, /damaged/],
      [`${key}\ncommand="x" ${key}`, /one line/],
      [`${key}\rx`, /one line/],
      [`${key}\u2028x`, /one line/],
      [`${key} ${'c'.repeat(300)}`, /comment/],
      [`${type} ${'A'.repeat(20_000)}`, /too long/],
      [await readFile(join(folder, 'key-1'), 'utf8'), /private key/],
    ];
    for (const [line, reason] of cases) expect(refused([line])).toMatch(reason);
    expect(refused([])).toMatch(/at least one/);
    expect(refused([key, 'x'])).toMatch(/^authorized_keys\[1\]/);
    expect(refused(Array.from({ length: MAX_AUTHORIZED_KEYS + 1 }, () => key))).toMatch(/may name 64/);
  });

  test('a point that is not on its curve is no key', async () => {
    const [type = '', blob = ''] = (await keygen('-t', 'ecdsa', '-b', '256')).split(' ');
    const bytes = Buffer.from(blob, 'base64');
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    expect(refused([`${type} ${bytes.toString('base64')}`])).toMatch(/not on the curve/);
  });
});

describe('a host key', () => {
  test('is read by OpenSSH, and has the public half and the fingerprint that we tell', async () => {
    const key = hostKeyOf(secret, 'mch_1');
    const file = join(folder, 'host_key');
    await writeFile(file, key.privateFile, { mode: 0o600 });
    expect((await run('ssh-keygen', ['-y', '-f', file])).stdout.trim()).toBe(`${key.publicKey} freehold`);
    expect((await run('ssh-keygen', ['-l', '-f', file])).stdout).toContain(` ${key.fingerprint} `);
  });

  test('is the same for the same machine, and another for another machine or installation', () => {
    expect(hostKeyOf(secret, 'mch_1')).toEqual(hostKeyOf(secret, 'mch_1'));
    const others = [hostKeyOf(secret, 'mch_2'), hostKeyOf(Buffer.alloc(32, 8), 'mch_1')];
    for (const other of others) expect(other.publicKey).not.toBe(hostKeyOf(secret, 'mch_1').publicKey);
  });
});
