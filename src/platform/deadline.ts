/**
 * Does work that must be done in time, under a signal that goes on afterwards for what the work has opened: it is
 * aborted when the time is over, or whenever `lasting` is.
 */
export async function within<Result>(
  milliseconds: number,
  lasting: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`Not done within ${milliseconds} ms`)), milliseconds);
  try {
    return await work(AbortSignal.any([lasting, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
