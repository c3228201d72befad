import { z } from 'zod';
import { MAX_INLINE_CONTEXT_BYTES, type ImageRequest, type Images } from '../../domains/machines/index.ts';
import { accepted, ok, route, type Route } from '../contract.ts';
import { ImageShown, NewImage, presentImage, UploadQuery } from './image-wire.ts';
import { IdParams, READ, WRITE } from './wire.ts';

const TAG = 'Images';
/** A context in base64, and the rest of the request. */
const BODY_LIMIT = 2 * MAX_INLINE_CONTEXT_BYTES;

export const imageRoutes = ({ images }: { images: Images }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/images',
    tag: TAG,
    summary: 'Make an image from a registry or a Dockerfile',
    description:
      'It is fetched or built in a machine of its own, after this answers; then sandboxes can be started from it by its name. A registry must be reachable from the public internet without a login. A Dockerfile may build on `base`, which is what sandboxes have by default, and on your own images. A machine needs a shell, so an image must have /bin/sh; `user` with the number 1000 is added.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewImage,
    bodyLimit: BODY_LIMIT,
    fails: ['conflict', 'forbidden', 'at_capacity'],
    replies: { 202: { description: 'The image is being made', schema: ImageShown } },
    handle: async (op, { body }) =>
      accepted(presentImage(await images.request(op, { name: body.name, from: sourceOf(body.from) }))),
  }),
  route({
    method: 'POST',
    path: '/v1/images/upload',
    tag: TAG,
    summary: 'Make an image from an archive or a build context',
    description:
      'The body is an image archive as `docker save`, `podman save`, `skopeo` or `buildah` write it, or with `dockerfile` a tar of a build context. At most 8 GiB.',
    access: 'account',
    scopes: WRITE,
    stream: true,
    query: UploadQuery,
    fails: ['conflict', 'forbidden', 'too_large', 'at_capacity'],
    replies: { 202: { description: 'The image is being made', schema: ImageShown } },
    handle: async (op, { query, body }) => accepted(presentImage(await images.upload(op, query, body))),
  }),
  route({
    method: 'GET',
    path: '/v1/images',
    tag: TAG,
    summary: 'List images, newest first',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The images', schema: z.object({ images: z.array(ImageShown) }) } },
    handle: async (op) => ok({ images: (await images.list(op)).map(presentImage) }),
  }),
  route({
    method: 'GET',
    path: '/v1/images/:id',
    tag: TAG,
    summary: 'Show an image, by its id or name',
    access: 'account',
    scopes: READ,
    params: IdParams,
    replies: { 200: { description: 'The image', schema: ImageShown } },
    handle: async (op, { params }) => ok(presentImage(await images.get(op, params.id))),
  }),
  route({
    method: 'GET',
    path: '/v1/images/:id/log',
    tag: TAG,
    summary: 'Show what the making of an image said',
    description: 'Also while it goes on; of a long one the end.',
    access: 'account',
    scopes: READ,
    params: IdParams,
    replies: { 200: { description: 'The log', schema: z.object({ log: z.string() }) } },
    handle: async (op, { params }) => ok({ log: await images.log(op, params.id) }),
  }),
  route({
    method: 'DELETE',
    path: '/v1/images/:id',
    tag: TAG,
    summary: 'Remove an image',
    description: 'Its name is free from then on. Sandboxes and snapshots that were made from it go on.',
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    replies: { 200: { description: 'The image is removed', schema: ImageShown } },
    handle: async (op, { params }) => ok(presentImage(await images.remove(op, params.id))),
  }),
];

const sourceOf = (from: z.output<typeof NewImage>['from']): ImageRequest['from'] =>
  'registry' in from
    ? { kind: 'registry', reference: from.registry }
    : {
        kind: 'dockerfile',
        text: from.dockerfile,
        context: from.context === undefined ? undefined : Buffer.from(from.context, 'base64'),
      };
