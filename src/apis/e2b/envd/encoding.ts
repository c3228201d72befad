import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream';
import { AppError } from '../../../kernel/errors.ts';
import type { RawRequest } from '../../contract.ts';
import { headerOf } from './access.ts';

/**
 * How a file is sent: compressed for who asks for that and nothing else, or takes nothing else. To those who would take
 * it among others, as every client says by default, it would only be slower.
 */
export function acceptedEncoding(request: RawRequest): 'gzip' | 'identity' | 'none' {
  const weights = weightsIn(headerOf(request, 'accept-encoding') ?? '');
  const anything = weights.get('*');
  const takesGzip = (weights.get('gzip') ?? anything ?? 0) > 0;
  const takesIdentity = (weights.get('identity') ?? anything ?? 1) > 0;
  if (takesGzip && ((weights.size === 1 && weights.has('gzip')) || !takesIdentity)) return 'gzip';
  return takesIdentity ? 'identity' : 'none';
}

/** `gzip, br;q=0.5` as names and how welcome each is. */
function weightsIn(header: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const part of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim());
    const weight = parameters.find((text) => text.startsWith('q='))?.slice('q='.length);
    if (name) weights.set(name, weight === undefined ? 1 : Number(weight) || 0);
  }
  return weights;
}

/** A request's body without its compression. What breaks off or is not compressed is the caller's mistake. */
export async function* plainBody(request: RawRequest): AsyncGenerator<Uint8Array> {
  try {
    yield* inflated(request);
  } catch (cause) {
    throw cause instanceof AppError ? cause : new AppError('invalid', 'The body is not gzip', { cause });
  }
}

function inflated(request: RawRequest): Readable {
  const encoding = (headerOf(request, 'content-encoding') ?? 'identity').toLowerCase();
  if (encoding === 'identity') return request.body;
  if (encoding !== 'gzip') throw new AppError('unsupported_media', `unsupported Content-Encoding: ${encoding}`);
  const gunzip = createGunzip();
  // Its outcome is seen by whoever reads what is inflated.
  pipeline(request.body, gunzip, () => {});
  return gunzip;
}
