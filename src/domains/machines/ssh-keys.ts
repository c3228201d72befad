import { createPrivateKey, createPublicKey } from 'node:crypto';
import { AppError } from '../../kernel/errors.ts';
import { deriveKey, sha256 } from '../../platform/crypto.ts';

// Keys of SSH as OpenSSH writes them (RFC 4253 §6.6, RFC 5656, RFC 8709, PROTOCOL.key): text that is made and read
// here, so that nothing a caller sends reaches a file of a machine unless it is understood as a public key.

const MAX_LINE_LENGTH = 16_384;
const MAX_COMMENT_LENGTH = 256;
export const MAX_AUTHORIZED_KEYS = 64;
const LEAST_RSA_BITS = 2_048;
const MOST_RSA_BITS = 16_384;
const ED25519_BYTES = 32;
const UNCOMPRESSED_POINT = 4;

const CURVES: Record<string, { crv: string; bytes: number }> = {
  nistp256: { crv: 'P-256', bytes: 32 },
  nistp384: { crv: 'P-384', bytes: 48 },
  nistp521: { crv: 'P-521', bytes: 66 },
};
const TYPES = ['ssh-ed25519', ...Object.keys(CURVES).map((curve) => `ecdsa-sha2-${curve}`), 'ssh-rsa'];

/** Reads the keys that may come in, each as one line of an `authorized_keys` file. Throws `invalid` with the reason. */
export function parseAuthorizedKeys(lines: readonly string[]): string[] {
  if (lines.length === 0) throw new AppError('invalid', 'authorized_keys must name at least one key');
  if (lines.length > MAX_AUTHORIZED_KEYS)
    throw new AppError('invalid', `authorized_keys may name ${MAX_AUTHORIZED_KEYS} keys`);
  return [...new Set(lines.map((line, index) => parsePublicKey(line, `authorized_keys[${index}]`)))];
}

/**
 * One public key as it will stand in the file: its type, the key, and the comment if there is one. Throws `invalid`
 * with the reason, in which the key is called by `name`.
 */
export function parsePublicKey(given: string, name: string): string {
  const wrong = (why: string): AppError => new AppError('invalid', `${name} ${why}`);
  const line = given.trim();
  if (line.includes('PRIVATE KEY')) throw wrong('is a private key: send the public one, and keep that to yourself');
  if (line.length > MAX_LINE_LENGTH) throw wrong('is too long for a public key');
  if (/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(line)) throw wrong('must be one line of printable characters');
  const [type = '', encoded = '', ...rest] = line.split(/ +/);
  if (!TYPES.includes(type)) throw wrong(`must begin with its type, one of ${TYPES.join(', ')}; options are not taken`);
  const blob = Buffer.from(encoded, 'base64');
  if (blob.length === 0 || blob.toString('base64') !== encoded) throw wrong('is not whole: its key is no base64');
  const flaw = flawOf(type, blob);
  if (flaw !== undefined) throw wrong(flaw);
  const comment = rest.join(' ');
  if (comment.length > MAX_COMMENT_LENGTH) throw wrong(`has a comment of more than ${MAX_COMMENT_LENGTH} characters`);
  return [type, encoded, ...(comment === '' ? [] : [comment])].join(' ');
}

/** What is wrong with the inside of a key. */
function flawOf(type: string, blob: Buffer): string | undefined {
  const fields = fieldsOf(blob);
  if (!fields || fields[0]?.toString() !== type) return 'is damaged';
  const [, first = Buffer.alloc(0), second = Buffer.alloc(0)] = fields;
  if (type === 'ssh-ed25519') return fields.length === 2 && first.length === ED25519_BYTES ? undefined : 'is damaged';
  if (fields.length !== 3) return 'is damaged';
  return type === 'ssh-rsa' ? flawOfRsa(first, second) : flawOfCurve(type, first, second);
}

function flawOfRsa(exponent: Buffer, modulus: Buffer): string | undefined {
  const isPlain = [exponent, modulus].every((number) => number.length > 0 && (number[0] ?? 0) < 0x80);
  if (!isPlain || isEven(exponent) || isEven(modulus)) return 'is damaged';
  const bits = bitsOf(modulus);
  if (bits < LEAST_RSA_BITS) return `has ${bits} bits: RSA keys need ${LEAST_RSA_BITS} or more`;
  return bits > MOST_RSA_BITS ? `has more than ${MOST_RSA_BITS} bits` : undefined;
}

const isEven = (number: Buffer): boolean => ((number.at(-1) ?? 0) & 1) === 0;
const bitsOf = (number: Buffer): number => BigInt(`0x${number.toString('hex')}`).toString(2).length;

function flawOfCurve(type: string, name: Buffer, point: Buffer): string | undefined {
  const curve = CURVES[name.toString()];
  if (!curve || type !== `ecdsa-sha2-${name.toString()}`) return 'is damaged';
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== UNCOMPRESSED_POINT) return 'is damaged';
  const x = point.subarray(1, 1 + curve.bytes).toString('base64url');
  const y = point.subarray(1 + curve.bytes).toString('base64url');
  return isPublicKey({ kty: 'EC', crv: curve.crv, x, y }) ? undefined : 'is damaged: its point is not on the curve';
}

function isPublicKey(key: { kty: string; crv: string; x: string; y: string }): boolean {
  try {
    return createPublicKey({ key, format: 'jwk' }).type === 'public';
  } catch {
    return false; // that is how Node says no
  }
}

/** The fields of a key, each with its length before it; undefined where they do not fill it exactly. */
function fieldsOf(blob: Buffer): Buffer[] | undefined {
  const fields: Buffer[] = [];
  for (let at = 0; at < blob.length;) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

/** As `ssh-keygen -l` shows it. Of a key that was parsed. */
export function fingerprintOf(key: string): string {
  const [, encoded = ''] = key.split(' ');
  return fingerprintOfBlob(Buffer.from(encoded, 'base64'));
}

const fingerprintOfBlob = (blob: Buffer): string => `SHA256:${sha256(blob).toString('base64').replace(/=+$/, '')}`;

export type HostKey = {
  /** `ssh-ed25519 AAAA…`, as it stands in `known_hosts` behind the name. */
  publicKey: string;
  /** As `ssh-keygen -l` shows it. */
  fingerprint: string;
  /** The file that sshd reads. */
  privateFile: string;
};

const HOST_KEY_TYPE = 'ssh-ed25519';
/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const CIPHER_BLOCK = 8;
const PEM_LINE = /.{1,70}/g;

/**
 * A machine's host key, made of the installation's secret: the same at each start of the machine, another for each
 * machine, and nowhere kept.
 */
export function hostKeyOf(secret: Uint8Array, machineId: string): HostKey {
  const seed = deriveKey(secret, `ssh host key of ${machineId}`);
  const { x = '' } = createPublicKey(
    createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' }),
  ).export({ format: 'jwk' });
  const point = Buffer.from(x, 'base64url');
  const blob = Buffer.concat([field(HOST_KEY_TYPE), field(point)]);
  return {
    publicKey: `${HOST_KEY_TYPE} ${blob.toString('base64')}`,
    fingerprint: fingerprintOfBlob(blob),
    privateFile: privateFile(blob, seed, point),
  };
}

function privateFile(blob: Buffer, seed: Buffer, point: Buffer): string {
  const check = sha256(seed).subarray(0, 4);
  const secrets = Buffer.concat([
    check, // twice: whoever decrypts a key sees by it that the password was right
    check,
    field(HOST_KEY_TYPE),
    field(point),
    field(Buffer.concat([seed, point])),
    field('freehold'),
  ]);
  const padding = (CIPHER_BLOCK - (secrets.length % CIPHER_BLOCK)) % CIPHER_BLOCK;
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    uint32(1),
    field(blob),
    field(Buffer.concat([secrets, Buffer.from(Array.from({ length: padding }, (_, index) => index + 1))])),
  ]);
  const lines = file.toString('base64').match(PEM_LINE) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const field = (content: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(content);
  return Buffer.concat([uint32(bytes.length), bytes]);
};
