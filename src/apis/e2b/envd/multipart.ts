import { Readable } from 'node:stream';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import { AppError } from '../../../kernel/errors.ts';
import type { RawRequest } from '../../contract.ts';
import { headerOf } from './access.ts';
import { plainBody } from './encoding.ts';

const FIELD = 'file';
const MAX_FILES = 1_000;
const MAX_FIELDS = 100;
const MAX_FIELD_BYTES = 65_536;
const MAX_HEADER_PAIRS = 32;

/**
 * Hands on each file of a form, one after the other and none of them whole: the next one is read when this one has been.
 * Throws what `take` throws, and `invalid` for what is no form.
 */
export async function eachFile<Taken>(
  request: RawRequest,
  take: (filename: string | undefined, content: AsyncIterable<Uint8Array>) => Promise<Taken>,
): Promise<Taken[]> {
  const form = openForm(request);
  const source = Readable.from(plainBody(request), { objectMode: false });
  const taken: Promise<Taken>[] = [];
  const files: Readable[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      form.on('file', (_field, content, filename) => {
        content.on('error', reject);
        files.push(content);
        const one = take(filename || undefined, content);
        one.catch(reject);
        taken.push(one);
      });
      for (const limit of ['filesLimit', 'fieldsLimit', 'partsLimit'] as const)
        form.on(limit, () => reject(new AppError('invalid', 'The form has too many parts')));
      form.on('finish', () => resolve());
      form.on('error', (cause) => reject(new AppError('invalid', 'The form is malformed', { cause })));
      source.on('error', reject);
      source.pipe(form);
    });
    return await Promise.all(taken);
  } finally {
    source.unpipe(form);
    source.destroy();
    form.destroy();
    // A form that breaks off does not end its files, and whoever reads one would wait for ever.
    for (const file of files) file.destroy();
    await Promise.allSettled(taken);
  }
}

function openForm(request: RawRequest): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': headerOf(request, 'content-type') ?? '' },
      preservePath: true,
      isPartAFile: (field) => field === FIELD,
      limits: {
        files: MAX_FILES,
        fields: MAX_FIELDS,
        fieldSize: MAX_FIELD_BYTES,
        headerPairs: MAX_HEADER_PAIRS,
        parts: MAX_FILES + MAX_FIELDS,
      },
    });
  } catch (cause) {
    throw new AppError('invalid', 'The form has no boundary', { cause });
  }
}
