const waiting: (() => void)[] = [];

/**
 * For work that takes long in many small pieces: resolves for one caller in each turn of the event loop, in the order
 * in which they came. However many do such work at once, everybody else waits for one piece at the most.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(takeTurn);
  });
}

function takeTurn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(takeTurn);
}
