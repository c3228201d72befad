import { createHash } from 'node:crypto';
import { pipeline, Transform, type Readable } from 'node:stream';
import { AppError } from '../../../kernel/errors.ts';
import type { BackupContent } from './backup.ts';

type Sums = Pick<BackupContent, 'bytes' | 'sha256'>;

/** The same bytes as they come. The sums are those of all of them once the stream has ended. */
export function summed(content: Readable): { stream: Readable; sums: () => Sums } {
  const { stream, sums } = meter();
  // What goes wrong before it ends it too, which is where it is met.
  return { stream: pipeline(content, stream, () => {}), sums };
}

/** The same bytes. They end with an error where they are not, to the last one, those of the sums. */
export const verified = (content: Readable, sums: Sums): Readable => pipeline(content, meter(sums).stream, () => {});

/** Lets everything through and knows what it was; where it is told what must come, nothing else comes to its end. */
function meter(expected?: Sums) {
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
  return { stream, sums: () => ({ bytes, sha256: sum ?? hash.digest() }) };
}

const damaged = (): AppError => new AppError('conflict', 'The backup is damaged.');
