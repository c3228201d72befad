import type { Readable } from 'node:stream';

/**
 * Where large contents are kept under names. A content is there whole or not at all, whoever was killed in between;
 * what was cut short goes with `remove`.
 */
export type BlobStore = {
  /** For the log. */
  readonly name: string;
  /** Answers when the content will be there after a crash too. Throws where the content does, and keeps nothing then. */
  put(key: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
  /** Undefined where there is none. A content that breaks off is an error of the stream. */
  get(key: string, signal: AbortSignal): Promise<Readable | undefined>;
  /** With all that a `put` that was cut short has left of it. Any number of times. */
  remove(key: string): Promise<void>;
};

/** Names that mean the same in a directory, in a bucket and in a URL. */
export const BLOB_KEY = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/;
