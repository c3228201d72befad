import type { ServerId } from '../../kernel/ids.ts';
import { deriveKey, hmacSha256 } from '../../platform/crypto.ts';

const LENGTH = 20;
/** 32 of them, so that each byte chooses one alike; none that is taken for another when it is read aloud. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz123456789';

/**
 * The password that a server's root begins with: 100 bits that follow from its id and the installation's secret, so
 * that nothing has to keep it until the machine is there.
 */
export function passwordOf(secret: Uint8Array, id: ServerId): string {
  const bytes = hmacSha256(deriveKey(secret, 'first root password of a server'), id);
  return Array.from(bytes.subarray(0, LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
