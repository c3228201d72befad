import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { checkedPath, type FileUser } from './files.ts';
import { DEFAULT_USER } from './command.ts';
import { fileWording } from './file-errors.ts';
import type { FileKind } from './init/index.ts';
import { ask, type Reached } from './reach.ts';
import { holding } from './whole.ts';
import type { MachinesWorld } from './world.ts';

/** The most that one file may have to be read or written in one piece. */
const MAX_FILE_BYTES = 100_000_000;
const MAX_LISTED = 20_000;
const MODE = /^[0-7]{3,4}$/;

/** Reads a whole file. Throws `too_large` where it has more than `maxBytes`. */
export async function readFile(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  options: FileUser & { maxBytes: number },
): Promise<Buffer> {
  const { user = DEFAULT_USER } = options;
  const maxBytes = Math.min(options.maxBytes, MAX_FILE_BYTES);
  // One byte more than may be there tells a file that is too large, also where its size is not known beforehand.
  const as = { user, offset: 0, length: maxBytes + 1 };
  const read = async (reached: Reached, hold: (bytes: number) => void): Promise<Buffer> => {
    const { content } = await reached.init.read(await checkedPath(reached, user, path), as);
    const chunks: Buffer[] = [];
    for await (const chunk of content as AsyncIterable<Buffer>) {
      hold(chunk.length);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (bytes.length > maxBytes) throw new AppError('too_large', `The file has more than ${maxBytes} bytes.`);
    return bytes;
  };
  return holding(id, (hold) => ask(world, op, id, fileWording, (reached) => read(reached, hold)));
}

/** Writes a whole file and the directories that it needs. Keeps the mode of a file that is there, unless given one. */
export async function writeFile(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  content: Uint8Array | string,
  options: FileUser & { mode?: string } = {},
): Promise<void> {
  const { user = DEFAULT_USER, mode } = options;
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (bytes.length > MAX_FILE_BYTES) throw new AppError('too_large', `A file may have ${MAX_FILE_BYTES} bytes.`);
  if (mode !== undefined && !MODE.test(mode)) throw new AppError('invalid', 'mode must be octal, as in 644');
  const as = { user, mode: mode === undefined ? undefined : Number.parseInt(mode, 8) };
  await ask(world, op, id, fileWording, async (reached) =>
    reached.init.write(await checkedPath(reached, user, path), inOnePiece(bytes), as),
  );
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

export type FileEntry = {
  name: string;
  kind: FileKind;
  size: number;
  /** Permission bits in octal. */
  mode: string;
  modifiedAt: Date;
};

/** What is in a directory, by name; links are not followed. `truncated` where there is more than can be told. */
export async function listFiles(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<{ entries: FileEntry[]; truncated: boolean }> {
  const { entries, truncated } = await ask(world, op, id, fileWording, async (reached) =>
    reached.init.list(await checkedPath(reached, user, path), { user, depth: 1, limit: MAX_LISTED }),
  );
  const shown = entries.map(({ name, kind, size, mode, modifiedAt }) => ({
    name,
    kind,
    size,
    mode: mode.toString(8),
    modifiedAt,
  }));
  return { entries: shown.toSorted((a, b) => (a.name < b.name ? -1 : 1)), truncated };
}
