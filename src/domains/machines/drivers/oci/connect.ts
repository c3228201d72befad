import type { Duplex } from 'node:stream';
import { connectLocal } from '../../../../platform/sockets.ts';
import { MachineLost } from '../../init/index.ts';

/** How the kernel says that nobody listens on a socket any more, or that it was never made. */
const GONE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** A connection to the init that listens there. Throws `MachineLost` where none does. */
export const connectTo = (path: string): Promise<Duplex> =>
  connectLocal(path).catch((error: NodeJS.ErrnoException) => {
    throw GONE.has(error.code ?? '') ? new MachineLost('The machine is not running.', { cause: error }) : error;
  });
