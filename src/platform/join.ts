import type { Duplex } from 'node:stream';

/**
 * Makes two connections one: what either sends reaches the other, at the pace at which the other takes it. Ends when
 * either has ended and what it had sent has been passed on, or when nothing has passed for `idleMs`.
 */
export function join(left: Duplex, right: Duplex, idleMs: number): Promise<void> {
  const destroy = () => [left, right].forEach((end) => end.destroy());
  const idle = setTimeout(destroy, idleMs).unref();
  const closed = [follow(left, right), follow(right, left)];
  for (const end of [left, right]) end.on('data', () => idle.refresh());
  left.pipe(right).pipe(left);
  return Promise.all(closed).then(() => clearTimeout(idle));
}

/** Resolves when `end` is closed; its end is the other's. */
function follow(end: Duplex, other: Duplex): Promise<void> {
  if (end.destroyed) {
    other.destroy();
    return Promise.resolve();
  }
  // Whoever is cut off is told by the end of its connection; there is nothing else that could tell it.
  end.on('error', () => other.destroy());
  return new Promise((resolve) => {
    end.once('close', () => {
      resolve();
      if (!end.readableEnded || other.writableFinished) return other.destroy();
      other.once('finish', () => other.destroy());
      other.end();
    });
  });
}
