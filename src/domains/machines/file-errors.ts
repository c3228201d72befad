import { AppError, type Code } from '../../kernel/errors.ts';
import { NO_SUCH_USER } from './command.ts';
import type { Wording } from './reach.ts';

const DENIED: [Code, string] = ['forbidden', 'Permission denied'];
const FULL: [Code, string] = ['too_large', "The machine's disk is full, or the file is too large for it"];

/** What the machine's kernel may say of a file, in the words that people know. */
const FAILURES: Readonly<Record<string, [Code, string]>> = {
  ENOENT: ['not_found', 'No such file or directory'],
  EISDIR: ['invalid', 'Is a directory'],
  ENOTDIR: ['invalid', 'Not a directory'],
  EINVAL: ['invalid', 'Not a regular file'],
  ELOOP: ['invalid', 'Too many symbolic links'],
  ENAMETOOLONG: ['invalid', 'File name too long'],
  ENOTSUP: ['invalid', 'This file cannot have extended attributes'],
  ERANGE: ['invalid', 'The extended attributes are too large'],
  EXDEV: ['invalid', 'The destination is on another file system'],
  EEXIST: ['conflict', 'File exists'],
  ENOTEMPTY: ['conflict', 'Directory not empty'],
  ETXTBSY: ['conflict', 'The file is being executed'],
  EBUSY: ['conflict', 'The file is in use'],
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: DENIED,
  ENOSPC: FULL,
  EDQUOT: FULL,
  EFBIG: FULL,
  E2BIG: FULL,
};
const UNREACHED: [Code, string] = ['conflict', 'The file could not be reached.'];

export const fileWording: Wording = (cause) => {
  if (cause.where === 'user') return new AppError('invalid', NO_SUCH_USER, { cause });
  const [code, text] = FAILURES[cause.errno] ?? UNREACHED;
  return new AppError(code, text, { cause });
};
