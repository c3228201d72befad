import { SECOND } from '../../kernel/time.ts';
import { MAX_KEPT_BYTES, type Interaction, type Stream } from './interaction.ts';
import { appendOutput } from './interaction-store.ts';
import type { EnvironmentsWorld } from './world.ts';

/** How long what was printed may wait to be written down; much of it is written at once. */
const FLUSH_MS = SECOND / 2;
const FLUSH_BYTES = 64_000;

/** Writes down what a command prints, as it comes. */
export type Recorder = {
  /** Takes a chunk that begins after `offset` bytes of its stream; one that was taken before is let go. */
  take(stream: Stream, offset: number, data: Buffer): Promise<void>;
  flush(): Promise<void>;
};

type Waiting = { offset: number; chunks: Buffer[]; bytes: number };

export function recorderOf({ db }: Pick<EnvironmentsWorld, 'db'>, interaction: Interaction): Recorder {
  const waiting: Record<Stream, Waiting> = {
    stdout: { offset: interaction.stdout.bytes, chunks: [], bytes: 0 },
    stderr: { offset: interaction.stderr.bytes, chunks: [], bytes: 0 },
  };
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function write(stream: Stream): Promise<void> {
    const { offset, chunks, bytes } = waiting[stream];
    if (bytes === 0) return;
    waiting[stream] = { offset: offset + bytes, chunks: [], bytes: 0 };
    await db.transact((tx) => appendOutput(tx, interaction.id, stream, offset, { kept: Buffer.concat(chunks), bytes }));
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(async () => {
      await write('stdout');
      await write('stderr');
    });
    return writing;
  }

  /** A command that prints a little and then waits is seen too. A failure comes to light at the next chunk. */
  const soon = (): void => {
    timer ??= setTimeout(() => void flush().catch(() => {}), FLUSH_MS);
  };

  return {
    async take(stream, offset, data) {
      const place = waiting[stream];
      const known = place.offset + place.bytes - offset;
      if (known >= data.length) return;
      const fresh = known > 0 ? data.subarray(known) : data;
      const room = Math.max(0, MAX_KEPT_BYTES - (place.offset + place.bytes));
      if (room > 0) place.chunks.push(fresh.subarray(0, room));
      place.bytes += fresh.length;
      if (place.bytes >= FLUSH_BYTES) await flush();
      else soon();
    },
    flush,
  };
}
