import type { BlobStore } from './blob.ts';
import { openLocalBlobs } from './local.ts';
import { openS3Blobs, type S3Bucket } from './s3.ts';

export type { BlobStore } from './blob.ts';
export type { S3Bucket } from './s3.ts';

export type BlobSetting = { directory: string; s3?: S3Bucket | undefined };

/** The bucket where one is set, else the directory. */
export const openBlobs = ({ directory, s3 }: BlobSetting): BlobStore =>
  s3 ? openS3Blobs(s3) : openLocalBlobs(directory);
