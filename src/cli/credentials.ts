import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from './failure.ts';

/** Only their owner may look at the keys. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export type Credential = { api_key: string; account_id: string; name: string };
/** By the server's URL. */
export type Credentials = Record<string, Credential>;

/** The keys that this user has here; none where there is no file yet. */
export async function readCredentials(file: string): Promise<Credentials> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return {};
    throw new Failure(`The keys cannot be read from ${file}: ${wording(error)}.`, { cause: error });
  }
  try {
    return (JSON.parse(text) as { servers: Credentials }).servers ?? {};
  } catch (error) {
    throw new Failure(`${file} is damaged: mend it, or move it away and register again.`, { cause: error });
  }
}

/** Replaces the file as a whole, so that an interruption leaves the one or the other. */
export async function writeCredentials(file: string, servers: Credentials): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE });
    await writeFile(fresh, `${JSON.stringify({ servers }, undefined, 2)}\n`, { mode: FILE_MODE, flag: 'wx' });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => undefined); // the first failure is the one to tell
    throw new Failure(`No key can be kept in ${file}: ${wording(error)}.`, { cause: error });
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const WORDS: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'a part of the path is a file',
};
const wording = (error: unknown): string => WORDS[String(codeOf(error))] ?? String(codeOf(error));
