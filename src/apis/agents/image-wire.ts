import { z } from 'zod';
import {
  IMAGE_NAME,
  IMAGE_REFERENCE,
  MAX_DOCKERFILE_LENGTH,
  MAX_IMAGE_NAME_LENGTH,
  MAX_IMAGE_REFERENCE_LENGTH,
  MAX_INLINE_CONTEXT_BYTES,
  MIN_IMAGE_NAME_LENGTH,
  type Image,
} from '../../domains/machines/index.ts';
import { Timestamp } from './wire.ts';

const BASE64_GROWTH = 4 / 3;

export const ImageName = z
  .string()
  .min(MIN_IMAGE_NAME_LENGTH)
  .max(MAX_IMAGE_NAME_LENGTH)
  .regex(IMAGE_NAME, { error: 'must be lower-case letters, digits and inner hyphens' })
  .meta({ examples: ['python-tools'] });

const Reference = z
  .string()
  .max(MAX_IMAGE_REFERENCE_LENGTH)
  .regex(IMAGE_REFERENCE, { error: 'must name an image, such as docker.io/library/python:3.12' })
  .meta({ examples: ['docker.io/library/python:3.12'] });

const Dockerfile = z
  .string()
  .max(MAX_DOCKERFILE_LENGTH)
  .regex(/\S/, { error: 'must not be blank' })
  .meta({ examples: ['FROM base\nRUN pip install flask\n'] });

const Context = z
  .base64({ error: 'must be a tar in base64' })
  .max(Math.ceil(MAX_INLINE_CONTEXT_BYTES * BASE64_GROWTH))
  .meta({ description: 'Files that the Dockerfile takes in, as a tar. A larger context is uploaded.' });

const FromRegistry = z.strictObject({ registry: Reference });
const FromDockerfile = z.strictObject({ dockerfile: Dockerfile, context: Context.optional() });

export const NewImage = z.object({
  name: ImageName,
  from: z.union([FromRegistry, FromDockerfile]).meta({ examples: [{ registry: 'docker.io/library/python:3.12' }] }),
});

export const UploadQuery = z.object({
  name: ImageName,
  dockerfile: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'What is sent is a build context as a tar, and this is the path of its Dockerfile.' }),
});

export const ImageShown = z.object({
  id: z.string().meta({ examples: ['img_01890000000070008000000000000000'] }),
  name: z.string().meta({ examples: ['python-tools'] }),
  status: z.enum(['building', 'ready', 'failed', 'removed']),
  source: z.enum(['registry', 'archive', 'dockerfile', 'context']),
  registry: z
    .string()
    .nullable()
    .meta({ examples: ['docker.io/library/python:3.12'] }),
  size_bytes: z.int().nullable(),
  files: z.int().nullable(),
  env: z
    .record(z.string(), z.string())
    .nullable()
    .meta({ description: 'What every process of its machines begins with.' }),
  workdir: z.string().nullable(),
  user: z.string().nullable(),
  entrypoint: z.array(z.string()).nullable(),
  cmd: z.array(z.string()).nullable(),
  error: z.string().nullable().meta({ description: 'Why it could not be made.' }),
  created_at: Timestamp,
});

export const presentImage = (image: Image): z.input<typeof ImageShown> => ({
  id: image.id,
  name: image.name,
  status: image.state,
  source: image.source.kind,
  registry: image.source.kind === 'registry' ? image.source.reference : null,
  size_bytes: image.bytes ?? null,
  files: image.files ?? null,
  env: image.config?.env ?? null,
  workdir: image.config?.workdir ?? null,
  user: image.config?.user ?? null,
  entrypoint: image.config?.entrypoint ?? null,
  cmd: image.config?.cmd ?? null,
  error: image.failure ?? null,
  created_at: image.createdAt.toISOString(),
});
