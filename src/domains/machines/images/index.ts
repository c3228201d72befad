import { AppError } from '../../../kernel/errors.ts';
import { parseId, type AccountId } from '../../../kernel/ids.ts';
import type { AccountOp } from '../../../kernel/op.ts';
import type { Db } from '../../../platform/db.ts';
import type { JobDefinition, SweepDefinition } from '../../../platform/jobs/index.ts';
import * as facts from './facts.ts';
import { BASE, MAX_LISTED, type Image } from './image.ts';
import { findImage, imageNamed, logOf, markRemoved, newestImages } from './image-store.ts';
import { build, tend, type ImagesDeps } from './jobs.ts';
import { fewAtOnce, request, upload, type ImageRequest, type ImageUpload } from './request.ts';

export {
  IMAGE_NAME,
  IMAGE_REFERENCE,
  INTERPRETER_TEMPLATE,
  MAX_DOCKERFILE_LENGTH,
  MAX_IMAGE_NAME_LENGTH,
  MAX_IMAGE_REFERENCE_LENGTH,
  MAX_INLINE_CONTEXT_BYTES,
  MIN_IMAGE_NAME_LENGTH,
  type Image,
} from './image.ts';
export type { ImageRequest, ImageUpload } from './request.ts';
export { openShelf, type Shelf } from './shelf.ts';

/** File systems that accounts bring and start machines from, under names that they choose. */
export type Images = {
  /** Has an image fetched from a registry or built from a Dockerfile; it goes on after this answers. */
  request(op: AccountOp, request: ImageRequest): Promise<Image>;
  /** Takes in an image archive, or a build context, and has an image made of it. */
  upload(op: AccountOp, upload: ImageUpload, content: AsyncIterable<Uint8Array>): Promise<Image>;
  /** By id or name. Throws `not_found`, as every verb does for what is not the caller's. */
  get(op: AccountOp, idOrName: string): Promise<Image>;
  /** The caller's images, newest first, with those that failed. */
  list(op: AccountOp): Promise<Image[]>;
  /** What its making said, also while it goes on. */
  log(op: AccountOp, idOrName: string): Promise<string>;
  /** Its name is free from then on. Machines that stand on it keep its files. */
  remove(op: AccountOp, idOrName: string): Promise<Image>;
  /**
   * The key under which a machine starts from what an account calls by that name or id: `base`, or an image of its own
   * that is ready. Throws `not_found`, or `conflict` where the image is not ready.
   */
  resolve(accountId: AccountId, nameOrId: string): Promise<string>;
  /** Variables that processes of machines of an image begin with. */
  environmentOf: EnvironmentOf;
  jobs: readonly JobDefinition<never>[];
  sweeps: readonly SweepDefinition[];
};

/** Environments kept at hand; an image that is ready never changes. */
const MAX_KEPT = 500;

export function createImages(deps: ImagesDeps): Images {
  const { db } = deps;
  const uploads = fewAtOnce();
  return {
    request: (op, wanted) => request(deps, op, wanted),
    upload: (op, wanted, content) => uploads(op.actor.accountId, () => upload(deps, op, wanted, content)),
    get: (op, idOrName) => visible(deps, op.actor.accountId, idOrName),
    list: (op) => newestImages(db, op.actor.accountId, MAX_LISTED),
    log: async (op, idOrName) => logOf(db, (await visible(deps, op.actor.accountId, idOrName)).id),
    remove: (op, idOrName) => remove(deps, op, idOrName),
    resolve: (accountId, nameOrId) => resolve(deps, accountId, nameOrId),
    environmentOf: imageEnvironments(db),
    jobs: [build(deps)],
    sweeps: [tend(deps)],
  };
}

async function visible({ db }: ImagesDeps, accountId: AccountId, idOrName: string): Promise<Image> {
  const id = parseId('image', idOrName);
  const image = id ? await findImage(db, id) : await imageNamed(db, accountId, idOrName);
  if (!image || image.accountId !== accountId || image.state === 'removed')
    throw new AppError('not_found', 'Image not found');
  return image;
}

async function remove(deps: ImagesDeps, op: AccountOp, idOrName: string): Promise<Image> {
  const image = await visible(deps, op.actor.accountId, idOrName);
  return deps.db.transact(async (tx) => {
    const removed = await markRemoved(tx, image.id, op.now);
    if (removed) await facts.tell(tx, op, 'image.removed', removed);
    return removed ?? image;
  });
}

async function resolve(deps: ImagesDeps, accountId: AccountId, nameOrId: string): Promise<string> {
  if (nameOrId === BASE) return BASE;
  const image = await visible(deps, accountId, nameOrId);
  if (image.state !== 'ready')
    throw new AppError(
      'conflict',
      image.state === 'building' ? 'The image is still being made.' : 'The image could not be made.',
    );
  return image.id;
}

export type EnvironmentOf = (key: string) => Promise<Readonly<Record<string, string>>>;

/** What images say of the environment of their processes. */
export function imageEnvironments(db: Db): EnvironmentOf {
  const kept = new Map<string, Readonly<Record<string, string>>>();
  return async (key) => {
    const known = kept.get(key);
    if (known) return known;
    const id = parseId('image', key);
    const config = id && (await findImage(db, id))?.config;
    if (!config) return {};
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(key, config.env);
    return config.env;
  };
}
