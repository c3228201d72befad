import {
  createECDH,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { DAY } from '../../kernel/time.ts';
import { deriveKey } from '../crypto.ts';

/** Vouches for names towards machines that trust it. */
export type Authority = {
  /** Its certificate, as PEM. */
  certificate: string;
  /** A certificate for `name` with ours behind it, and its key; as PEM. */
  issue(name: string): { cert: string; key: string };
  /** What a server needs to pass for `name`; made once and kept for a while. */
  contextFor(name: string): SecureContext;
};

const CURVE = 'prime256v1';
const COORDINATE_BYTES = 32;
const AUTHORITY_NAME = 'Freehold egress';
const AUTHORITY_FROM = new Date('2024-01-01T00:00:00Z');
const AUTHORITY_UNTIL = new Date('2049-12-31T00:00:00Z');
const LEAF_LIFE_MS = 30 * DAY;
/** Clocks of machines may be a little off. */
const LEAF_BEFORE_MS = DAY;
const KEPT_MS = DAY;
const MAX_KEPT = 512;

/**
 * The authority of an installation. Its key is derived from the installation's secret, so every process has the same
 * one and none has to store it.
 */
export function authorityOf(secret: Uint8Array, now: () => Date): Authority {
  const ca = keyOf(deriveKey(secret, 'egress authority'));
  const certificate = signed(ca.key, {
    serial: createHash('sha256').update(ca.point).digest().subarray(0, 15),
    subject: AUTHORITY_NAME,
    from: AUTHORITY_FROM,
    until: AUTHORITY_UNTIL,
    spki: spkiOf(ca.point),
    extensions: [
      extension('551d13', true, der(0x30, der(0x01, Buffer.from([0xff])))), // a CA
      extension('551d0f', true, der(0x03, Buffer.from([1, 0x06]))), // that signs certificates
      extension('551d0e', false, der(0x04, idOf(ca.point))),
    ],
  });
  const kept = new Map<string, { context: SecureContext; until: number }>();
  const leaf = keyOf(undefined);
  const issue = (name: string) => ({
    cert: leafFor(name, now().getTime(), ca, leaf.point) + certificate,
    key: leaf.key.export({ type: 'pkcs8', format: 'pem' }),
  });
  return {
    certificate,
    issue,
    contextFor(name) {
      const at = now().getTime();
      const known = kept.get(name);
      if (known && known.until > at) return known.context;
      const [oldest] = kept.keys();
      if (kept.size >= MAX_KEPT && oldest !== undefined) kept.delete(oldest);
      const context = createSecureContext(issue(name));
      kept.delete(name);
      kept.set(name, { context, until: at + KEPT_MS });
      return context;
    },
  };
}

type Pair = { key: KeyObject; point: Buffer };

const leafFor = (name: string, at: number, ca: Pair, point: Buffer): string =>
  signed(ca.key, {
    serial: randomBytes(15),
    subject: undefined,
    from: new Date(at - LEAF_BEFORE_MS),
    until: new Date(at + LEAF_LIFE_MS),
    spki: spkiOf(point),
    extensions: [
      extension('551d0f', true, der(0x03, Buffer.from([7, 0x80]))), // signs handshakes
      extension('551d25', false, der(0x30, oid('2b06010505070301'))), // as a server
      // Without a subject the name stands here alone, and is critical (RFC 5280); names may be longer than a subject.
      extension('551d11', true, der(0x30, der(0x82, Buffer.from(name, 'latin1')))),
      extension('551d23', false, der(0x30, der(0x80, idOf(ca.point)))),
    ],
  });

function keyOf(scalar: Buffer | undefined): Pair {
  if (!scalar) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: CURVE });
    const { x = '', y = '' } = privateKey.export({ format: 'jwk' });
    return { key: privateKey, point: pointOf(x, y) };
  }
  const ecdh = createECDH(CURVE);
  ecdh.setPrivateKey(scalar);
  const point = ecdh.getPublicKey();
  const part = (from: number) => point.subarray(from, from + COORDINATE_BYTES).toString('base64url');
  const [x, y] = [part(1), part(1 + COORDINATE_BYTES)];
  const jwk = { kty: 'EC', crv: 'P-256', d: scalar.toString('base64url'), x, y };
  return { key: createPrivateKey({ key: jwk, format: 'jwk' }), point };
}

const pointOf = (x: string, y: string): Buffer =>
  Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);

const idOf = (point: Buffer): Buffer => createHash('sha1').update(point).digest();

type Content = {
  serial: Buffer;
  subject: string | undefined;
  from: Date;
  until: Date;
  spki: Buffer;
  extensions: Buffer[];
};

/** An X.509 certificate (RFC 5280) in the one form that is needed here, as PEM. */
function signed(key: KeyObject, { serial, subject, from, until, spki, extensions }: Content): string {
  const algorithm = der(0x30, oid('2a8648ce3d040302')); // ECDSA with SHA-256
  const content = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    // A first byte of ours keeps the number positive.
    der(0x02, Buffer.from([1]), serial),
    algorithm,
    nameOf(AUTHORITY_NAME),
    der(0x30, timeOf(from), timeOf(until)),
    nameOf(subject),
    spki,
    der(0xa3, der(0x30, ...extensions)),
  );
  const signature = sign('sha256', content, { key, dsaEncoding: 'der' });
  const whole = der(0x30, content, algorithm, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  return Buffer.concat([Buffer.from([tag, 0x82, body.length >> 8, body.length & 0xff]), body]);
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  der(0x30, oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));

const nameOf = (text: string | undefined): Buffer =>
  text === undefined ? der(0x30) : der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from(text)))));

/** Years to 2049, which all of ours are, have the short form. */
const timeOf = (time: Date): Buffer =>
  der(0x17, Buffer.from(`${time.toISOString().slice(2, 19).replace(/[-:T]/g, '')}Z`));

const spkiOf = (point: Buffer): Buffer =>
  der(0x30, der(0x30, oid('2a8648ce3d0201'), oid('2a8648ce3d030107')), der(0x03, Buffer.from([0]), point));
