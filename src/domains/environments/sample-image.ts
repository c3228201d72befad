import { setTimeout as sleep } from 'node:timers/promises';
import { isAppError } from '../../kernel/errors.ts';
import type { AccountId, KeyId } from '../../kernel/ids.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import type { Image } from '../machines/index.ts';
import { tarOf } from './archive.ts';
import { DOCKERFILE } from './formats/folder.ts';
import type { Sample } from './sample.ts';
import { archiveOf, readTree } from './tree.ts';
import type { EnvironmentsWorld } from './world.ts';

const NAME = 'sample';
const LOOK_MS = SECOND;
const NO_KEY = '00000000-0000-0000-0000-000000000000' as KeyId;

/** An image that a sample can be run in, or why there is none. */
export type SampleImage = { image: string } | { problem: string };

/**
 * The image of a sample: one that there is, or one that is built from its Dockerfile in machines of the image builder.
 * Images are accounts' own; a version of a sample is an account of its own here, so that the limits of one account do
 * not bind a dataset.
 */
export async function imageOf(world: EnvironmentsWorld, op: Op, sample: Sample): Promise<SampleImage> {
  const { images } = world;
  if (sample.recipe.image !== undefined) return { image: sample.recipe.image };
  if (!images || sample.trees.context === undefined) return { problem: 'This server builds no images' };
  const own = ownOp(op, sample);
  let image = await asked(world, own, sample, images);
  while (image.state === 'building') {
    await sleep(LOOK_MS, undefined, { signal: op.signal });
    image = await images.get(own, image.id);
  }
  if (image.state === 'ready') return { image: image.id };
  return { problem: `The image of its Dockerfile could not be built: ${image.failure ?? 'it was removed'}` };
}

/** The image that was asked for before, unless it failed; else it is asked for now. */
async function asked(
  { blobs }: EnvironmentsWorld,
  op: AccountOp,
  { trees }: Sample,
  images: NonNullable<EnvironmentsWorld['images']>,
): Promise<Image> {
  const before = await images.get(op, NAME).catch((error: unknown) => {
    if (isAppError(error, 'not_found')) return undefined;
    throw error;
  });
  if (before && before.state !== 'failed') return before;
  const context = archiveOf(blobs, await readTree(blobs, trees.context ?? ''));
  return images.upload(op, { name: NAME, dockerfile: DOCKERFILE }, tarOf(context));
}

const ownOp = (op: Op, { id }: Sample): AccountOp => ({
  ...op,
  actor: { kind: 'account', accountId: id as string as AccountId, keyId: NO_KEY, scopes: null },
});
