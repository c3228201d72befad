import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveKey, sha256 } from './crypto.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;
const INSTANCE_LENGTH = 8;

/** What makes this installation itself: its secrets and the name that its machines bear on the host. */
export type Installation = {
  /** Master secret; every key of ours is derived from it. */
  secret: Buffer;
  adminKey: string;
  /** The admin key was made just now, so it has to be shown once. */
  newAdminKey: boolean;
  /** Lower-case hex, the same for all processes of one installation, different between installations. */
  instance: string;
};

/** Reads the installation's secrets from the data directory and makes those that neither it nor the settings have. */
export async function openInstallation(
  dataDir: string,
  given: { secret?: string | undefined; adminKey?: string | undefined },
): Promise<Installation> {
  await mkdir(dataDir, { recursive: true });
  const master = given.secret ?? (await keptSecret(dataDir, 'secret.key')).text;
  const secret = deriveKey(Buffer.from(master), 'freehold master secret');
  const instance = sha256(deriveKey(secret, 'instance')).toString('hex').slice(0, INSTANCE_LENGTH);
  if (given.adminKey) return { secret, adminKey: given.adminKey, newAdminKey: false, instance };
  const admin = await keptSecret(dataDir, 'admin.key');
  return { secret, adminKey: admin.text, newAdminKey: admin.isNew, instance };
}

/** One secret in one file. Of two processes that make it at once, both use the one that came first. */
async function keptSecret(dataDir: string, name: string): Promise<{ text: string; isNew: boolean }> {
  const path = join(dataDir, name);
  const existing = await readFile(path, 'utf8').catch(absent);
  if (existing) return { text: existing.trim(), isNew: false };
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const text = randomBytes(SECRET_BYTES).toString('hex');
  await writeFile(draft, `${text}\n`, { mode: OWNER_ONLY, flush: true });
  const isNew = await link(draft, path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  await unlink(draft);
  return isNew ? { text, isNew } : { text: (await readFile(path, 'utf8')).trim(), isNew };
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
