import { AppError } from '../../../kernel/errors.ts';
import type { AccountId } from '../../../kernel/ids.ts';
import { newId, type AccountOp } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import * as facts from './facts.ts';
import {
  checkContextPath,
  checkDockerfile,
  checkName,
  checkReference,
  MAX_BUILDING,
  MAX_IMAGES,
  MAX_INLINE_CONTEXT_BYTES,
  MAX_LISTED,
  MAX_UPLOAD_BYTES,
  type Image,
  type ImageSource,
} from './image.ts';
import { findImage, imageNamed, insertImage, lockAccount, taken } from './image-store.ts';
import { callBuilder, type ImagesDeps } from './jobs.ts';

export type ImageRequest = {
  name: string;
  from:
    | { kind: 'registry'; reference: string }
    /** With files that the Dockerfile takes in, as a tar. */
    | { kind: 'dockerfile'; text: string; context?: Uint8Array | undefined };
};

export type ImageUpload = {
  name: string;
  /** What is sent is a build context whose Dockerfile has this path; otherwise it is an image archive. */
  dockerfile?: string | undefined;
};

/**
 * Has an image made, which goes on after this answers. Throws `invalid`, `conflict` where the name is taken, and
 * `forbidden` where the account has as many as it may.
 */
export async function request(deps: ImagesDeps, op: AccountOp, { name, from }: ImageRequest): Promise<Image> {
  checkName(name);
  if (from.kind === 'registry') checkReference(from.reference);
  else checkDockerfile(from.text);
  const context = from.kind === 'dockerfile' ? from.context : undefined;
  const source: ImageSource =
    from.kind === 'registry'
      ? { kind: 'registry', reference: from.reference }
      : { kind: 'dockerfile', text: from.text, hasContext: context !== undefined };
  return add(deps, op, { name, source }, context && { content: [context], maxBytes: MAX_INLINE_CONTEXT_BYTES });
}

/** The same for what comes as a stream. Throws `too_large` where it does not end in time. */
export async function upload(
  deps: ImagesDeps,
  op: AccountOp,
  { name, dockerfile }: ImageUpload,
  content: AsyncIterable<Uint8Array>,
): Promise<Image> {
  checkName(name);
  if (dockerfile !== undefined) checkContextPath(dockerfile);
  const source: ImageSource = dockerfile === undefined ? { kind: 'archive' } : { kind: 'context', dockerfile };
  return add(deps, op, { name, source }, { content, maxBytes: MAX_UPLOAD_BYTES });
}

/** Lets an account send few things at a time: until they have come, nobody else knows how much of the disk they take. */
export function fewAtOnce() {
  const underWay = new Map<AccountId, number>();
  return async <Result>(accountId: AccountId, send: () => Promise<Result>): Promise<Result> => {
    const others = underWay.get(accountId) ?? 0;
    if (others >= MAX_BUILDING)
      throw new AppError('conflict', `An account has at most ${MAX_BUILDING} images made at the same time.`);
    underWay.set(accountId, others + 1);
    try {
      return await send();
    } finally {
      const left = (underWay.get(accountId) ?? 1) - 1;
      if (left > 0) underWay.set(accountId, left);
      else underWay.delete(accountId);
    }
  };
}

type Sent = { content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>; maxBytes: number };

async function add(
  deps: ImagesDeps,
  op: AccountOp,
  { name, source }: Pick<Image, 'name' | 'source'>,
  sent?: Sent,
): Promise<Image> {
  const image = newImage(op, name, source);
  const earlier = await findImage(deps.db, image.id);
  if (earlier) return earlier;
  await deps.machines.requireDisk();
  // Before anything is taken in, and once more when it is decided.
  await deps.db.transact((tx) => checkRoom(tx, image));
  if (sent) await deps.shelf.keepSource(image.id, flow(sent.content), sent.maxBytes);
  try {
    return await deps.db.transact(async (tx) => {
      await checkRoom(tx, image);
      if (await insertImage(tx, image)) {
        await facts.tell(tx, op, 'image.requested', image);
        await callBuilder(deps, tx);
      }
      return image;
    });
  } catch (error) {
    await deps.shelf.dropSource(image.id);
    throw error;
  }
}

const newImage = (op: AccountOp, name: string, source: ImageSource): Image => ({
  id: newId(op, 'image'),
  accountId: op.actor.accountId,
  name,
  state: 'building',
  stateAt: op.now,
  source,
  machineId: undefined,
  attempts: 0,
  config: undefined,
  bytes: undefined,
  files: undefined,
  failure: undefined,
  createdAt: op.now,
});

async function checkRoom(tx: Tx, { id, accountId, name }: Image): Promise<void> {
  await lockAccount(tx, accountId);
  const named = await imageNamed(tx, accountId, name);
  if (named && named.id !== id && named.state !== 'failed')
    throw new AppError('conflict', 'There is an image of this name; remove it first.');
  const { images, listed, building } = await taken(tx, accountId);
  if (images >= MAX_IMAGES) throw new AppError('forbidden', `An account has at most ${MAX_IMAGES} images.`);
  if (listed >= MAX_LISTED) throw new AppError('forbidden', 'Remove some of the images that failed first.');
  if (building >= MAX_BUILDING)
    throw new AppError('conflict', `An account has at most ${MAX_BUILDING} images made at the same time.`);
}

async function* flow(content: Sent['content']): AsyncIterable<Uint8Array> {
  yield* content;
}
