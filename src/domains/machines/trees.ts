import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { DEFAULT_USER } from './command.ts';
import { checkedPath, type FileUser } from './files.ts';
import { fileWording } from './file-errors.ts';
import { InitError, type Init, type RunExit, type RunStream } from './init/index.ts';
import { asked, reach, worded, type Wording } from './reach.ts';
import type { MachinesWorld } from './world.ts';

/** Where nothing was said otherwise, as the machine's images have it. */
const TAR = 'tar';
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
/** Files that changed while they were read: what `tar` wrote is an archive all the same. */
const CHANGED = 1;
const MAX_REMARK_BYTES = 4_096;
const MAX_TOLD_CHARACTERS = 200;
const FULL = /No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes/;
const DENIED = /Permission denied|Operation not permitted/;

/**
 * A directory and all that is in it as a tar archive, whose names begin with `./`; of a file, an archive of it alone.
 * The machine's own `tar` makes it, as the user who asks. It fails half-way where that does.
 */
export async function downloadTree(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<Readable> {
  const reached = await reach(world, op, id);
  return await asked(op, treeWording, async () => {
    const whole = await checkedPath(reached, user, path);
    const { kind, targetKind } = await reached.init.stat(whole, { user, follow: true });
    const isDirectory = kind === 'directory' || targetKind === 'directory';
    const what = isDirectory ? [whole, '.'] : [posix.dirname(whole), `./${posix.basename(whole)}`];
    const run = await tar(reached.init, user, ['-c', '-f', '-', '-C', ...what], false);
    // Also where nobody ever reads from it.
    return Readable.from(contentOf(op, run), { objectMode: false }).once('close', () => run.close());
  });
}

/** Unpacks a tar archive into a directory, which is made where it is not there. */
export async function uploadTree(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  archive: AsyncIterable<Uint8Array>,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<void> {
  const reached = await reach(world, op, id);
  await asked(op, treeWording, async () => {
    const whole = await checkedPath(reached, user, path);
    await reached.init.makeDirectory(whole, { user }).catch(isThere);
    await unpack(await tar(reached.init, user, ['-x', '-o', '-f', '-', '-C', whole], true), archive);
  });
}

const tar = (init: Init, user: string, args: readonly string[], stdin: boolean): Promise<RunStream> =>
  init.start({ argv: [TAR, ...args], cwd: '/', env: ENVIRONMENT, user, stdin, onDisconnect: 'kill' });

async function* contentOf(op: Op, run: RunStream): AsyncGenerator<Buffer> {
  try {
    const remarks = remarksOf();
    for await (const event of run) {
      if (event.kind === 'exit') return checkPacked(event.exit, remarks.text());
      if (event.stream === 'stderr') remarks.add(event.data);
      else yield event.data;
    }
  } catch (error) {
    throw worded(op, treeWording, error);
  } finally {
    run.close();
  }
}

function checkPacked({ exitCode }: RunExit, remark: string): void {
  if (exitCode !== 0 && exitCode !== CHANGED)
    throw new AppError('conflict', 'The directory could not be read to its end.', { cause: remark });
}

/** Gives the archive to `tar`. It ends where that ends or the sender fails, whichever is first. */
async function unpack(run: RunStream, archive: AsyncIterable<Uint8Array>): Promise<void> {
  let isOver = false;
  const feed = async () => {
    for await (const chunk of archive) {
      if (isOver) return;
      await run.write(chunk);
    }
    await run.closeInput();
  };
  const senderFails = feed().then(() => new Promise<never>(() => {}));
  try {
    const { exit, remark } = await Promise.race([endOf(run), senderFails]);
    if (exit.exitCode !== 0) throw notUnpacked(remark);
  } finally {
    isOver = true;
    run.close();
  }
}

async function endOf(run: RunStream): Promise<{ exit: RunExit; remark: string }> {
  const remarks = remarksOf();
  for await (const event of run) {
    if (event.kind === 'exit') return { exit: event.exit, remark: remarks.text() };
    if (event.stream === 'stderr') remarks.add(event.data);
  }
  throw new AppError('conflict', 'The machine is not running.');
}

/** The machine wrote these and they are shown to its owner only, as text. */
function remarksOf() {
  let bytes = Buffer.alloc(0);
  return {
    add(chunk: Buffer): void {
      if (bytes.length < MAX_REMARK_BYTES) bytes = Buffer.concat([bytes, chunk]).subarray(0, MAX_REMARK_BYTES);
    },
    text: (): string => bytes.toString().toWellFormed(),
  };
}

function notUnpacked(remark: string): AppError {
  if (FULL.test(remark)) return new AppError('too_large', "The machine's disk is full", { cause: remark });
  if (DENIED.test(remark)) return new AppError('forbidden', 'Permission denied', { cause: remark });
  const first = remark.split('\n')[0]?.replaceAll(/\p{C}/gu, ' ').slice(0, MAX_TOLD_CHARACTERS) ?? '';
  return new AppError('invalid', `The archive could not be unpacked: ${first}`, { cause: remark });
}

function isThere(error: unknown): void {
  if (!(error instanceof InitError) || error.errno !== 'EEXIST') throw error;
}

const treeWording: Wording = (cause) =>
  cause.where === 'program'
    ? new AppError('conflict', 'The machine has no tar to do this with.', { cause })
    : fileWording(cause);
