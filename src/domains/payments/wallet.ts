import { ECDH, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { english, generateMnemonic, HDKey, publicKeyToAddress } from 'viem/accounts';
import { assert } from '../../kernel/errors.ts';
import { keptSecret, type KeptSecretOptions } from '../../platform/kept-secret.ts';

const NAME = 'wallet of top-ups';
/** 24 words. */
const MNEMONIC_BITS = 256;
/** Where every usual wallet looks for its accounts (BIP-44, Ether's coin type); the address's index is the last step. */
export const DERIVATION_PATH = `m/44'/60'/0'/0`;

/** How a seed is made of words (BIP-39). */
const SEED = { rounds: 2_048, bytes: 64, digest: 'sha512', salt: 'mnemonic' } as const;
const stretch = promisify(pbkdf2);

export type Wallet = {
  /** Tells addresses by their index, in lower case. Only what is public is needed for it, and only that stays in memory. */
  open(): Promise<(index: number) => string>;
  /** All that there is, for the operator alone; undefined where nobody has needed a wallet yet. */
  words(): Promise<string | undefined>;
};

/** What top-ups are paid to: the first process that needs a wallet makes it, and all use that one. */
export function createWallet(ground: KeptSecretOptions): Wallet {
  const kept = keptSecret(ground, NAME);
  let known: HDKey | undefined;
  return {
    async open() {
      const key = (known ??= await publicPart(
        (await kept.findOrMake(() => generateMnemonic(english, MNEMONIC_BITS))).toString(),
      ));
      return (index) => addressOf(key.deriveChild(index));
    },
    words: async () => (await kept.find())?.toString(),
  };
}

async function publicPart(words: string): Promise<HDKey> {
  const seed = await stretch(words.normalize('NFKD'), SEED.salt, SEED.rounds, SEED.bytes, SEED.digest);
  return HDKey.fromExtendedKey(HDKey.fromMasterSeed(seed).derive(DERIVATION_PATH).publicExtendedKey);
}

function addressOf({ publicKey }: HDKey): string {
  assert(publicKey, 'a derived key has a public part');
  const point = ECDH.convertKey(Buffer.from(publicKey), 'secp256k1', undefined, 'hex', 'uncompressed');
  return publicKeyToAddress(`0x${point}`).toLowerCase();
}
