import { posix } from 'node:path';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import { DEFAULT_USER, headerOf, type Visit } from './access.ts';
import { RpcFailure } from './failure.ts';

const BASIC = /^Basic +([A-Za-z0-9+/_-]+=*)$/i;
/** Those that are there in every machine of ours; others are looked up. */
const KNOWN_USERS = new Set([DEFAULT_USER, 'root']);

/** As whom an RPC acts: the user name of `Authorization: Basic`, whose password is empty. */
export function rpcUser(visit: Visit): Promise<string> {
  const encoded = BASIC.exec(headerOf(visit.request, 'authorization') ?? '')?.[1] ?? '';
  const [name = ''] = Buffer.from(encoded, 'base64').toString().split(':');
  return userNamed(visit, name);
}

/** As whom a file is read or written. */
export const fileUser = (visit: Visit): Promise<string> => userNamed(visit, visit.request.query.get('username') ?? '');

/** The user of that name, or the usual one. Throws `unauthenticated` where there is none. */
export async function userNamed(visit: Visit, name: string): Promise<string> {
  const user = name || DEFAULT_USER;
  if (!KNOWN_USERS.has(user)) await homeOf(visit, user);
  return user;
}

async function homeOf({ machines, op, sandbox }: Visit, user: string): Promise<string> {
  try {
    return (await machines.home(op, sandbox.machineId, user)).home;
  } catch (error) {
    if (isAppError(error, 'invalid') || isAppError(error, 'not_found'))
      throw new RpcFailure('unauthenticated', `error looking up user '${user}': user: unknown user ${user}`, {
        cause: error,
      });
    throw error;
  }
}

/** A path as the daemon takes it: `~` and what is relative start at the user's home. */
export async function absolutePath(visit: Visit, user: string, path: string): Promise<string> {
  if (path.startsWith('~') && path !== '~' && !path.startsWith('~/'))
    throw new AppError('invalid', `cannot expand the home of another user: '${path}'`);
  if (posix.isAbsolute(path)) return tidy(path);
  const home = await homeOf(visit, user);
  return tidy(posix.join(home, path.replace(/^~(\/|$)/, '')));
}

const tidy = (path: string): string => {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
};
