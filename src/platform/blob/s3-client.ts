import { AwsClient } from 'aws4fetch';
import { XMLParser } from 'fast-xml-parser';
import { sha256 } from '../crypto.ts';
import type { S3Bucket } from './s3.ts';

export type S3Request = {
  query?: Record<string, string>;
  body?: Uint8Array;
  signal: AbortSignal;
  /** A 404 is an answer, and not an error. */
  mayMiss?: boolean;
};

export type S3Client = { send(method: string, key: string, request: S3Request): Promise<Response> };

/** How often a request is made that fails by the store's or the network's doing. */
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 200;
const ERROR_CHARACTERS = 300;

/** Requests signed by Signature Version 4, with the content signed too. */
export function createS3Client({ url, bucket, region, accessKey, secretKey }: S3Bucket): S3Client {
  const aws = new AwsClient({
    accessKeyId: accessKey,
    secretAccessKey: secretKey,
    region,
    service: 's3',
    retries: ATTEMPTS - 1,
    initRetryMs: FIRST_PAUSE_MS,
  });
  return {
    async send(method, key, { query = {}, body, signal, mayMiss }) {
      const target = new URL(`${url.replace(/\/+$/, '')}/${bucket}${key && `/${key}`}`);
      for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
      const headers = { 'x-amz-content-sha256': sha256(body ?? '').toString('hex') };
      const content = body && { body: new Uint8Array(body) };
      const reply = await aws.fetch(target, { method, headers, signal, ...content });
      if (reply.ok || (mayMiss && reply.status === 404)) return reply;
      const said = (await reply.text()).slice(0, ERROR_CHARACTERS);
      throw new Error(`The blob store answered ${method} ${key || bucket} with ${reply.status}: ${said}`);
    },
  };
}

const parser = new XMLParser({ parseTagValue: false, ignoreDeclaration: true });

/** What stands in all elements of a name, in their order. */
export function textsOf(xml: string, name: string): string[] {
  const found: string[] = [];
  const look = (value: unknown, key: string): void => {
    if (Array.isArray(value)) for (const one of value) look(one, key);
    else if (typeof value === 'object' && value !== null)
      for (const [at, inner] of Object.entries(value)) look(inner, at);
    else if (key === name && value !== '') found.push(String(value));
  };
  look(parser.parse(xml), '');
  return found;
}
