import { isAppError } from '../../../kernel/errors.ts';
import type { ImageSource } from './image.ts';
import { WorkFailed } from './workshop.ts';

/** A build that cannot come to an end, for a reason that the owner can do something about. */
export class Unbuildable extends Error {
  override name = 'Unbuildable';
}

export const TIMED_OUT = 'The image was not made within 30 minutes.';
export const INTERRUPTED = 'The making of the image was interrupted several times.';
const SERVER_FAILED = 'The server could not make the image; try again later.';
const LOG_TELLS = 'the log says why.';

/** What registries and the network say, and what it means; the first that fits. */
const REGISTRY_ANSWERS: [RegExp, (reference: string) => string][] = [
  [
    /no such host|i\/o timeout|connection refused|no route to host|network is unreachable|deadline exceeded/,
    (reference) => `The registry of ${reference} cannot be reached from a machine.`,
  ],
  [
    /x509|tls:|server gave HTTP response to HTTPS client/,
    (reference) => `The registry of ${reference} offers no sound TLS.`,
  ],
  [
    /unauthorized|authentication required|denied|forbidden/i,
    (reference) => `The registry has no public image ${reference}.`,
  ],
  [/manifest unknown|name unknown|not found|no image found/i, (reference) => `The registry has no image ${reference}.`],
  [/toomanyrequests|too many requests/i, () => 'The registry takes no more requests now; try again later.'],
];

/** Why an image could not be made, in a sentence for its owner; `isOurs` where that is no fault of theirs. */
export function failureOf(error: unknown, source: ImageSource): { text: string; isOurs: boolean } {
  if (error instanceof Unbuildable) return { text: error.message, isOurs: false };
  if (isAppError(error, 'too_large') || isAppError(error, 'invalid')) return { text: error.message, isOurs: false };
  if (isAppError(error, 'at_capacity')) return { text: error.message, isOurs: true };
  if (error instanceof WorkFailed) return { text: wordsFor(error.said, source), isOurs: false };
  return { text: SERVER_FAILED, isOurs: true };
}

function wordsFor(said: string, source: ImageSource): string {
  if (/no space left on device/i.test(said)) return 'The image does not fit on the disk on which it is made.';
  switch (source.kind) {
    case 'registry': {
      const answer = REGISTRY_ANSWERS.find(([pattern]) => pattern.test(said))?.[1];
      return answer ? answer(source.reference) : `The image ${source.reference} could not be fetched; ${LOG_TELLS}`;
    }
    case 'archive':
      return `The archive could not be read as an image; ${LOG_TELLS}`;
    default:
      return `The Dockerfile could not be built; ${LOG_TELLS}`;
  }
}
