import { AppError } from '../../../kernel/errors.ts';
import type { AccountId, ImageId, MachineId } from '../../../kernel/ids.ts';

export type ImageState = 'building' | 'ready' | 'failed' | 'removed';

/** What an image is made of, as its owner said. What was sent as a stream waits on the server's disk under its id. */
export type ImageSource =
  | { kind: 'registry'; reference: string }
  | { kind: 'archive' }
  /** A Dockerfile, and where it has one a build context that waits on the disk. */
  | { kind: 'dockerfile'; text: string; hasContext: boolean }
  /** A build context that holds its Dockerfile under this path. */
  | { kind: 'context'; dockerfile: string };

/** What an image says of the processes that are to run in it. */
export type ImageConfig = {
  env: Record<string, string>;
  workdir: string | undefined;
  user: string | undefined;
  entrypoint: string[];
  cmd: string[];
};

/** A file system that machines start from, brought by an account and named by it. */
export type Image = {
  id: ImageId;
  accountId: AccountId;
  name: string;
  state: ImageState;
  stateAt: Date;
  source: ImageSource;
  /** The machine of the newest attempt to make it. */
  machineId: MachineId | undefined;
  attempts: number;
  config: ImageConfig | undefined;
  /** What its files fill. */
  bytes: number | undefined;
  files: number | undefined;
  /** Why there is none, in a sentence. */
  failure: string | undefined;
  createdAt: Date;
};

/** The images that the server has by itself; no account may take their names. */
export const BASE = 'base';
export const BUILDER = 'builder';
/** Another name of the base; sandboxes of it have a port for running code, which the server itself answers. */
export const INTERPRETER_TEMPLATE = 'code-interpreter-v1';
const TAKEN_NAMES: readonly string[] = [BASE, BUILDER, 'scratch', INTERPRETER_TEMPLATE];

const PINNED_BASE = /^base-[0-9a-f]{16}$/;
/** Whether a key names a base image: today's, or the one of some day, to which a machine's disk belongs. */
export const isBase = (key: string): boolean => key === BASE || PINNED_BASE.test(key);

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** Of one account; images that failed do not count. */
export const MAX_IMAGES = 10;
/** Of one account with those that failed, whose logs are kept until it removes them. */
export const MAX_LISTED = 50;
export const MAX_ACCOUNT_BYTES = 10 * GIB;
/** Of one account at a time: others want the builder too. */
export const MAX_BUILDING = 3;
export const MAX_IMAGE_BYTES = 10 * GIB;
export const MAX_IMAGE_FILES = 1_000_000;
/** A tar of as many bytes of files is longer by its headers. */
export const MAX_ARCHIVE_BYTES = MAX_IMAGE_BYTES * 1.25;
/** An archive may be packed; a build context is not larger than what it makes. */
export const MAX_UPLOAD_BYTES = 8 * GIB;
export const MAX_DOCKERFILE_LENGTH = 64 * 1_024;
/** Of a build context that comes within a request; a larger one is uploaded. */
export const MAX_INLINE_CONTEXT_BYTES = 4 * MIB;
export const MAX_IMAGE_REFERENCE_LENGTH = 300;
export const MIN_IMAGE_NAME_LENGTH = 3;
export const MAX_IMAGE_NAME_LENGTH = 63;
export const MAX_PATH_LENGTH = 200;

export const IMAGE_NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])$/;
/** A registry's host and port where there is one, a path, a tag, a digest. */
export const IMAGE_REFERENCE =
  /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?(?:\/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;

/** Throws `invalid` where an image cannot be called that. */
export function checkName(name: string): void {
  if (name.length < MIN_IMAGE_NAME_LENGTH || name.length > MAX_IMAGE_NAME_LENGTH || !IMAGE_NAME.test(name))
    throw new AppError(
      'invalid',
      `name must be ${MIN_IMAGE_NAME_LENGTH} to ${MAX_IMAGE_NAME_LENGTH} lower-case letters, digits and inner hyphens`,
    );
  if (TAKEN_NAMES.includes(name)) throw new AppError('invalid', `name must not be ${name}`);
}

export function checkReference(reference: string): void {
  if (reference.length > MAX_IMAGE_REFERENCE_LENGTH || !IMAGE_REFERENCE.test(reference))
    throw new AppError('invalid', 'registry must name an image, such as docker.io/library/python:3.12');
}

export function checkDockerfile(text: string): void {
  if (text.trim() === '' || Buffer.byteLength(text) > MAX_DOCKERFILE_LENGTH)
    throw new AppError('invalid', `dockerfile must have from 1 to ${MAX_DOCKERFILE_LENGTH} bytes`);
}

/** Throws `invalid` unless the path stays within the build context. */
export function checkContextPath(path: string): void {
  const parts = path.split('/');
  if (path.length > MAX_PATH_LENGTH || path.includes('\0') || parts.some((part) => part === '' || /^\.\.?$/.test(part)))
    throw new AppError('invalid', 'dockerfile must be a path within the build context');
}
