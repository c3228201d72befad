import { createHash } from 'node:crypto';
import { pipeline, Transform, type Readable } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { AppError } from '../../../kernel/errors.ts';
import type { BackupContent } from './backup.ts';

type Sums = Pick<BackupContent, 'diskBytes' | 'bytes' | 'sha256'>;

/** Fast enough to keep up with a disk; what is smaller still takes several times as long. */
const LEVEL = 3;
const CHUNK_BYTES = 1_048_576;

/** Compresses a disk as it comes. The sums are those of all of it once the stream has ended. */
export function pack(disk: Readable): { stream: Readable; sums: () => Sums } {
  const before = meter();
  const after = meter();
  const zstd = createZstdCompress({
    chunkSize: CHUNK_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  // What goes wrong anywhere ends the last of them, which is where it is met.
  pipeline(disk, before.stream, zstd, after.stream, () => {});
  const sums = () => ({ diskBytes: before.bytes(), bytes: after.bytes(), sha256: after.sha256() });
  return { stream: after.stream, sums };
}

/** The disk again. It ends with an error where the content is not, to the byte, the one that was packed. */
export async function* unpack(content: Readable, packed: Sums): AsyncGenerator<Buffer> {
  const kept = meter(packed);
  const zstd = createZstdDecompress({ chunkSize: CHUNK_BYTES });
  let diskBytes = 0;
  try {
    for await (const chunk of pipeline(content, kept.stream, zstd, () => {}) as AsyncIterable<Buffer>) {
      diskBytes += chunk.length;
      if (diskBytes > packed.diskBytes) throw damaged();
      yield chunk;
    }
    if (diskBytes !== packed.diskBytes) throw damaged();
  } catch (error) {
    throw isOfZstd(error) ? damaged(error) : error;
  } finally {
    content.destroy();
  }
}

const damaged = (cause?: unknown): AppError => new AppError('conflict', 'The backup is damaged.', { cause });

const isOfZstd = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(ZSTD_|Z_)/.test(String(error.code));

/** Lets everything through and knows what it was; where it is told what must come, nothing else comes to its end. */
function meter(expected?: Pick<Sums, 'bytes' | 'sha256'>) {
  const hash = createHash('sha256');
  let bytes = 0;
  let sum: Buffer | undefined;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(expected && bytes > expected.bytes ? damaged() : null, chunk);
    },
    flush(done) {
      sum = hash.digest();
      done(expected && !sum.equals(expected.sha256) ? damaged() : null);
    },
  });
  return { stream, bytes: () => bytes, sha256: () => sum ?? hash.digest() };
}
