/**
 * What can go wrong for a caller. Few on purpose: each contract maps every code to a status and a body of its own
 * with `satisfies Record<Code, …>`, so a new code does not compile until every contract has decided about it.
 */
export type Code =
  | 'invalid' // the request itself is wrong
  | 'unauthenticated' // no credential, or one that does not hold
  | 'unaffordable' // the money is not there
  | 'forbidden' // known caller, not allowed
  | 'not_found' // does not exist, or not for this caller
  | 'method_not_allowed'
  | 'conflict' // true at another time or in another state
  | 'too_large'
  | 'unsupported_media'
  | 'rate_limited'
  | 'unconfigured' // this part of the server is not set up
  | 'at_capacity' // the server is full
  | 'internal'; // a defect of ours; the edge makes it from whatever else was thrown

/** What is wrong with a field, for contracts that give it a name of their own. */
export type Problem =
  | 'missing'
  | 'wrong_type'
  | 'too_short'
  | 'too_long'
  | 'too_small'
  | 'too_large'
  | 'not_a_choice'
  | 'unknown_field'
  | 'malformed';

export type RequestPart = 'path' | 'query' | 'body' | 'header';

/** One field of a request that is wrong, for contracts that list them. */
export type FieldError = {
  in: RequestPart;
  path: (string | number)[];
  message: string;
  problem: Problem;
  /** The type it should have: `string`, `int`, `number`, `boolean`, `object`, `array`. */
  expected?: string;
};

export type AppErrorOptions = {
  cause?: unknown;
  /** Seconds after which a retry makes sense; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  fields?: FieldError[];
};

/** The one error class. `message` is safe to show to the caller; `cause` goes to the log only. */
export class AppError extends Error {
  readonly code: Code;
  readonly retryAfterSeconds: number | undefined;
  readonly fields: FieldError[];

  constructor(code: Code, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.fields = options.fields ?? [];
  }
}

export const isAppError = (error: unknown, code?: Code): error is AppError =>
  error instanceof AppError && (code === undefined || error.code === code);

/** Stops the program's own impossible: a violated assertion is a defect, never a bad request. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`);
}
