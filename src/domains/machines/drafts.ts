import { posix } from 'node:path';
import type { WatchEvent } from './init/index.ts';

/** A file that is written stands under such a name beside its place until it is whole (`machine-init/write.c`). */
const DRAFT = /^\.freehold-[0-9a-f]{16}$/;

/** What happens in a directory as one who writes files sees it: a draft that takes its place is a write. */
export async function* withoutDrafts(events: AsyncIterable<WatchEvent>): AsyncGenerator<WatchEvent> {
  /** The directory in which a draft has just lost its name; the next event there is that it got its own. */
  let takingPlace: string | undefined;
  for await (const event of events) {
    const directory = posix.dirname(event.path);
    if (DRAFT.test(posix.basename(event.path))) {
      takingPlace = event.type === 'rename' ? directory : undefined;
      continue;
    }
    yield event;
    if (event.type === 'create' && directory === takingPlace) yield { ...event, type: 'write' };
    takingPlace = undefined;
  }
}
