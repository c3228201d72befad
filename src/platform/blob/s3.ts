import { Readable } from 'node:stream';
import { assert } from '../../kernel/errors.ts';
import { MINUTE } from '../../kernel/time.ts';
import { BLOB_KEY, type BlobStore } from './blob.ts';
import { createS3Client, textsOf, type S3Client } from './s3-client.ts';

/** A bucket of any store that speaks the S3 protocol, by path: `URL/BUCKET/KEY`. */
export type S3Bucket = { url: string; bucket: string; region: string; accessKey: string; secretKey: string };

/** What is sent at a time. A content may have 10,000 parts, so this allows 320 GB; two parts are in memory at once. */
const PART_BYTES = 32 * 1_048_576;
/** For what is tidied up after a `put` whose signal may have ended it. */
const TIDY_TIMEOUT_MS = MINUTE;

export function openS3Blobs(bucket: S3Bucket): BlobStore {
  const client = createS3Client(bucket);
  const checked = (key: string): string => {
    assert(BLOB_KEY.test(key), `a blob's key is safe in a URL, not "${key}"`);
    return key;
  };
  return {
    name: `${bucket.url}/${bucket.bucket}`,
    put: async (key, content, signal) => put(client, checked(key), content, signal),
    get: async (key, signal) => get(client, checked(key), signal),
    remove: async (key) => remove(client, checked(key)),
  };
}

/** In parts, so that no length has to be known beforehand; the store shows nothing of it before it is completed. */
async function put(
  client: S3Client,
  key: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const begun = await client.send('POST', key, { query: { uploads: '' }, signal });
  const [uploadId] = textsOf(await begun.text(), 'UploadId');
  if (uploadId === undefined) throw new Error(`The blob store did not begin an upload of ${key}.`);
  try {
    const tags: string[] = [];
    for await (const part of partsOf(content)) {
      const query = { partNumber: String(tags.length + 1), uploadId };
      const sent = await client.send('PUT', key, { query, body: part, signal });
      await sent.bytes();
      tags.push(sent.headers.get('etag') ?? '');
    }
    await complete(client, key, uploadId, tags, signal);
  } catch (error) {
    await abort(client, key, uploadId).catch(() => {}); // `remove` finds what is left of it
    throw error;
  }
}

async function complete(client: S3Client, key: string, uploadId: string, tags: string[], signal: AbortSignal) {
  const parts = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`);
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
  const done = await client.send('POST', key, { query: { uploadId }, body, signal });
  // The protocol says 200 before it knows: what came of it is in the body.
  const text = await done.text();
  if (!text.includes('CompleteMultipartUploadResult'))
    throw new Error(`The blob store did not complete the upload of ${key}: ${text.slice(0, 300)}`);
}

/** At least one, which may be empty. */
async function* partsOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  let isFirst = true;
  const part = (): Buffer => {
    const whole = Buffer.concat(chunks);
    [chunks, bytes, isFirst] = [[], 0, false];
    return whole;
  };
  for await (const chunk of content) {
    chunks.push(chunk);
    bytes += chunk.length;
    while (bytes >= PART_BYTES) {
      const whole = part();
      yield whole.subarray(0, PART_BYTES);
      const rest = whole.subarray(PART_BYTES);
      if (rest.length > 0) [chunks, bytes] = [[rest], rest.length];
    }
  }
  if (bytes > 0 || isFirst) yield part();
}

async function get(client: S3Client, key: string, signal: AbortSignal): Promise<Readable | undefined> {
  const reply = await client.send('GET', key, { signal, mayMiss: true });
  if (reply.status === 404) {
    await reply.bytes();
    return undefined;
  }
  return reply.body ? Readable.fromWeb(reply.body) : Readable.from([]);
}

async function remove(client: S3Client, key: string): Promise<void> {
  const signal = AbortSignal.timeout(TIDY_TIMEOUT_MS);
  for (const begun of await uploads(client, key)) if (begun.key === key) await abort(client, key, begun.uploadId);
  await (await client.send('DELETE', key, { signal, mayMiss: true })).bytes();
}

async function abort(client: S3Client, key: string, uploadId: string): Promise<void> {
  const signal = AbortSignal.timeout(TIDY_TIMEOUT_MS);
  await (await client.send('DELETE', key, { query: { uploadId }, signal, mayMiss: true })).bytes();
}

/** Contents that were begun and neither completed nor given up. */
async function uploads(client: S3Client, prefix: string): Promise<{ key: string; uploadId: string }[]> {
  const found: { key: string; uploadId: string }[] = [];
  let marker: Record<string, string> | undefined = {};
  while (marker) {
    const query: Record<string, string> = { uploads: '', prefix, ...marker };
    const text = await (await client.send('GET', '', { query, signal: AbortSignal.timeout(TIDY_TIMEOUT_MS) })).text();
    const [keys, ids] = [textsOf(text, 'Key'), textsOf(text, 'UploadId')];
    found.push(...keys.map((key, index) => ({ key, uploadId: ids[index] ?? '' })));
    const [nextKey, nextId] = [textsOf(text, 'NextKeyMarker')[0], textsOf(text, 'NextUploadIdMarker')[0]];
    marker = nextKey ? { 'key-marker': nextKey, 'upload-id-marker': nextId ?? '' } : undefined;
  }
  return found;
}
