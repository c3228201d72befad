import { Buffer } from 'node:buffer';

/**
 * Tar archives (POSIX pax), written as a stream. The same entries give the same bytes: no owner, no time, no order but
 * the given one. Nothing here reads an archive: what comes from a machine is unpacked by a machine.
 */
export type ArchiveEntry =
  | { kind: 'file'; path: string; executable: boolean; bytes: number; content: AsyncIterable<Uint8Array> }
  | { kind: 'link'; path: string; target: string };

const BLOCK = 512;
const NAME_BYTES = 100;
const MODE_PLAIN = 0o644;
const MODE_EXECUTABLE = 0o755;
const MODE_LINK = 0o777;
const TYPE_FILE = '0';
const TYPE_LINK = '2';
const TYPE_PAX = 'x';
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

export async function* tarOf(entries: AsyncIterable<ArchiveEntry> | Iterable<ArchiveEntry>): AsyncGenerator<Buffer> {
  for await (const entry of entries) {
    yield* headersOf(entry);
    if (entry.kind === 'file') yield* bodyOf(entry);
  }
  // Two empty blocks end an archive.
  yield Buffer.alloc(2 * BLOCK);
}

async function* bodyOf(entry: Extract<ArchiveEntry, { kind: 'file' }>): AsyncGenerator<Buffer> {
  let written = 0;
  for await (const chunk of entry.content) {
    written += chunk.length;
    yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  if (written !== entry.bytes) throw new Error(`${entry.path} has ${written} bytes and not ${entry.bytes}`);
  yield padding(written);
}

function* headersOf(entry: ArchiveEntry): Generator<Buffer> {
  const target = entry.kind === 'link' ? entry.target : '';
  const long: [string, string][] = [];
  if (!fits(entry.path)) long.push(['path', entry.path]);
  if (!fits(target)) long.push(['linkpath', target]);
  if (long.length > 0) {
    const records = Buffer.concat(long.map(([name, value]) => paxRecord(name, value)));
    yield header({ path: 'pax', mode: MODE_PLAIN, bytes: records.length, type: TYPE_PAX, target: '' });
    yield records;
    yield padding(records.length);
  }
  yield entry.kind === 'link'
    ? header({ path: entry.path, mode: MODE_LINK, bytes: 0, type: TYPE_LINK, target })
    : header({
        path: entry.path,
        mode: entry.executable ? MODE_EXECUTABLE : MODE_PLAIN,
        bytes: entry.bytes,
        type: TYPE_FILE,
        target,
      });
}

/** Names beyond plain ones go into a pax record, whose names are UTF-8 by definition. */
const fits = (name: string): boolean => Buffer.byteLength(name) <= NAME_BYTES && /^[\x20-\x7e]*$/.test(name);

type Header = { path: string; mode: number; bytes: number; type: string; target: string };

function header({ path, mode, bytes, type, target }: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(path.slice(0, NAME_BYTES), 0, NAME_BYTES, 'latin1');
  block.write(octal(mode, 7), 100, 'latin1');
  block.write(octal(0, 7), 108, 'latin1');
  block.write(octal(0, 7), 116, 'latin1');
  block.write(octal(bytes, 11), 124, 'latin1');
  block.write(octal(0, 11), 136, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(target.slice(0, NAME_BYTES), 157, NAME_BYTES, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, CHECKSUM_AT, 'latin1');
  return block;
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');

/** A record begins with its own length, the digits of that length included. */
function paxRecord(name: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${name}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${name}=${value}\n`);
}

const padding = (bytes: number): Buffer => Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);
