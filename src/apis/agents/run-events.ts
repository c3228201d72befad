import { isUtf8 } from 'node:buffer';
import type { RunEvent } from '../../domains/machines/index.ts';
import type { ServerEvent } from './sse.ts';

/** The longest character has this many bytes. */
const MAX_CHARACTER_BYTES = 4;

/**
 * What a run prints, as events of whole characters: a chunk may end within one. `next` is how much of the stream has
 * been told, so that whoever goes on from there gets the rest of that character too.
 */
export async function* runEvents(run: AsyncIterable<RunEvent>): AsyncGenerator<ServerEvent> {
  const held = new Map<string, Buffer>();
  for await (const event of run) {
    if (event.kind === 'exit') {
      const { exitCode, signal, timedOut } = event.exit;
      yield { event: 'exit', data: { exit_code: exitCode ?? null, signal: signal ?? null, timed_out: timedOut } };
      return;
    }
    const before = held.get(event.stream) ?? Buffer.alloc(0);
    const data = before.length > 0 ? Buffer.concat([before, event.data]) : event.data;
    const whole = data.subarray(0, wholeCharacters(data));
    held.set(event.stream, Buffer.from(data.subarray(whole.length)));
    const next = event.offset - before.length + whole.length;
    if (whole.length > 0) yield { event: event.stream, data: { ...written(whole), next } };
  }
}

const written = (bytes: Buffer): { text: string } | { base64: string } =>
  isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') };

/** How many bytes at its beginning do not end within a character; all of them where it is no text. */
export function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(MAX_CHARACTER_BYTES, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) return charactersLength(byte) > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

const charactersLength = (first: number): number => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2);
