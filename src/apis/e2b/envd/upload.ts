import { posix } from 'node:path';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { RawAnswer } from '../../contract.ts';
import { headerOf, within, type Visit } from './access.ts';
import { plainBody } from './encoding.ts';
import { METADATA_XATTR, metadataOf } from './entry.ts';
import { DiskFull } from './failure.ts';
import { eachFile } from './multipart.ts';
import { absolutePath, fileUser } from './path.ts';

/** POST /files (clause 4 of the sheet): one file as it is, or several as the parts of a form. */

const METADATA_HEADER = 'x-metadata-';
const MAX_METADATA_KEY_BYTES = 246;
const MAX_METADATA_BYTES = 4_096;
const PRINTABLE = /^[\x20-\x7e]*$/;
const NEW_FILE_MODE = 0o644;

type Written = { name: string; path: string; type: 'file'; metadata?: Record<string, string> };

export const upload = (visit: Visit): Promise<RawAnswer> =>
  within(visit, async () => {
    const metadata = metadataIn(visit.request.headers);
    const user = await fileUser(visit);
    const type = (headerOf(visit.request, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
    const put = (path: string, content: AsyncIterable<Uint8Array>) => write(visit, { user, path, content, metadata });
    const written =
      type === 'multipart/form-data' ? await uploadForm(visit, user, put) : [await uploadOne(visit, user, type, put)];
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(written),
    };
  });

type Put = (path: string, content: AsyncIterable<Uint8Array>) => Promise<Written>;

async function uploadOne(visit: Visit, user: string, type: string | undefined, put: Put): Promise<Written> {
  if (type !== 'application/octet-stream')
    throw new AppError('invalid', 'Content-Type must be multipart/form-data or application/octet-stream');
  const path = visit.request.query.get('path');
  if (!path) throw new AppError('invalid', 'path is required for application/octet-stream uploads');
  return put(await absolutePath(visit, user, path), plainBody(visit.request));
}

async function uploadForm(visit: Visit, user: string, put: Put): Promise<Written[]> {
  const path = visit.request.query.get('path');
  const taken = new Set<string>();
  return eachFile(visit.request, async (filename, content) => {
    const target = path || filename;
    if (!target) throw new AppError('invalid', 'A file needs a name, or the request a path');
    const absolute = await absolutePath(visit, user, target);
    if (taken.has(absolute))
      throw new AppError('invalid', `you cannot upload multiple files to the same path '${absolute}'`);
    taken.add(absolute);
    return put(absolute, content);
  });
}

type WriteRequest = {
  user: string;
  path: string;
  content: AsyncIterable<Uint8Array>;
  metadata: Record<string, string>;
};

async function write(
  { machines, op, sandbox }: Visit,
  { user, path, content, metadata }: WriteRequest,
): Promise<Written> {
  try {
    const stat = await machines.writeStream(op, sandbox.machineId, path, content, {
      user,
      mode: NEW_FILE_MODE,
      xattrs: metadata,
      xattrPrefix: METADATA_XATTR,
    });
    const shown = metadataOf(stat);
    return { name: posix.basename(path), path, type: 'file', ...(shown && { metadata: shown }) };
  } catch (error) {
    if (isAppError(error, 'too_large')) throw new DiskFull(error);
    if (isAppError(error, 'invalid') && error.message === 'Is a directory')
      throw new AppError('invalid', `path is a directory: ${path}`, { cause: error });
    throw error;
  }
}

/** What the caller wants to be kept with the files, as the attributes that keep it. */
export function metadataIn(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const pairs = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    name.startsWith(METADATA_HEADER)
      ? [[name.slice(METADATA_HEADER.length).toLowerCase(), [value].flat().join(', ')]]
      : [],
  );
  let bytes = 0;
  for (const [key, value] of pairs) {
    bytes += key.length + value.length;
    if (key === '' || key.length > MAX_METADATA_KEY_BYTES || !PRINTABLE.test(key + value))
      throw new AppError(
        'invalid',
        `metadata must be printable ASCII with keys of 1 to ${MAX_METADATA_KEY_BYTES} bytes`,
      );
  }
  if (bytes > MAX_METADATA_BYTES)
    throw new AppError('invalid', `metadata may have at most ${MAX_METADATA_BYTES} bytes`);
  return Object.fromEntries(pairs.map(([key, value]) => [METADATA_XATTR + key, value]));
}
