import { StringDecoder } from 'node:string_decoder';

const MAX_LOG_CHARACTERS = 256 * 1_024;
const CUT = '[…]\n';

/** What a build says, as much as is kept of it: the newest. */
export type BuildLog = { add(text: string): void; text(): string };

export function buildLog(): BuildLog {
  let kept = '';
  let isCut = false;
  return {
    add(text) {
      // PostgreSQL keeps no NUL and no half of a surrogate pair.
      kept += text.replaceAll('\0', '\uFFFD').toWellFormed();
      if (kept.length <= MAX_LOG_CHARACTERS) return;
      kept = kept.slice(-MAX_LOG_CHARACTERS).toWellFormed();
      isCut = true;
    },
    text: () => (isCut ? CUT + kept : kept),
  };
}

/** Chunks of bytes as text, also where a character is split between two. */
export const textDecoder = (): ((chunk: Uint8Array) => string) => {
  const decoder = new StringDecoder('utf8');
  return (chunk) => decoder.write(Buffer.from(chunk));
};
