import type { FileStat } from '../../../domains/machines/index.ts';
import type { Visit } from './access.ts';
import { isAppError } from '../../../kernel/errors.ts';

/** Files and directories as the daemon shows them (clause 3 of the sheet, EntryInfo). */

/** Where a caller's own words about a file are kept with it. */
export const METADATA_XATTR = 'user.e2b.';
const PERMISSION_BITS = 0o777;
const TYPE = {
  file: 'FILE_TYPE_FILE',
  directory: 'FILE_TYPE_DIRECTORY',
  symlink: 'FILE_TYPE_SYMLINK',
  other: 'FILE_TYPE_UNSPECIFIED',
} as const;

export type EntryInfo = ReturnType<typeof present>;

/**
 * An entry. A link is not followed for its size and permissions, but has the type and the mode of what it leads to; a
 * link to nowhere has no type, and clients leave it out.
 */
export async function entryOf(visit: Visit, user: string, stat: FileStat): Promise<EntryInfo> {
  if (stat.kind !== 'symlink') return present(stat, stat.kind, stat.mode);
  const target = stat.targetKind && (await targetOf(visit, user, stat.path));
  return present(stat, target?.kind ?? 'other', target?.mode ?? 0);
}

const targetOf = ({ machines, op, sandbox }: Visit, user: string, path: string): Promise<FileStat | undefined> =>
  machines.stat(op, sandbox.machineId, path, { user, follow: true }).catch((error: unknown) => {
    // What a link leads to may be gone, or closed to this user.
    if (isAppError(error, 'not_found') || isAppError(error, 'forbidden') || isAppError(error, 'invalid'))
      return undefined;
    throw error;
  });

function present(stat: FileStat, kind: FileStat['kind'], mode: number) {
  const metadata = metadataOf(stat);
  return {
    name: stat.name,
    type: TYPE[kind],
    path: stat.path,
    size: String(stat.size),
    mode: mode & PERMISSION_BITS,
    permissions: permissions(stat),
    owner: stat.owner,
    group: stat.group,
    modifiedTime: stat.modifiedAt.toISOString(),
    ...(stat.target !== undefined && { symlinkTarget: stat.target }),
    ...(metadata && { metadata }),
  };
}

/** What was written down with a file; undefined where nothing was. */
export function metadataOf({ xattrs }: Pick<FileStat, 'xattrs'>): Record<string, string> | undefined {
  const own = Object.entries(xattrs).filter(([name]) => name.startsWith(METADATA_XATTR));
  if (own.length === 0) return undefined;
  return Object.fromEntries(own.map(([name, value]) => [name.slice(METADATA_XATTR.length), value]));
}

const KIND_LETTER = { file: '-', directory: 'd', symlink: 'L', other: '?' } as const;
const LETTERS = 'rwxrwxrwx';

const permissions = ({ kind, mode }: FileStat): string =>
  KIND_LETTER[kind] +
  [...LETTERS].map((letter, index) => ((mode >> (LETTERS.length - 1 - index)) & 1 ? letter : '-')).join('');
