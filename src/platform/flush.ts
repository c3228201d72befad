import { open } from 'node:fs/promises';

/**
 * Resolves when what a file or a folder holds is on the disk, and outlives a power cut. A new name is in its folder: after
 * a rename it is that which is flushed.
 */
export async function flush(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
