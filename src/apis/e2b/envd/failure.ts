import { AppError, type Code } from '../../../kernel/errors.ts';
import { STATUS, type Answer } from '../../contract.ts';

/** How envd says no: RPCs by words (clause 3 of the sheet), files and the rest by numbers (clause 4). */

const HTTP_STATUS = {
  invalid_argument: 400,
  failed_precondition: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  resource_exhausted: 429,
  unimplemented: 501,
  unavailable: 503,
  deadline_exceeded: 504,
} as const;
export type RpcCode = keyof typeof HTTP_STATUS;

/** What of our own codes an RPC calls by which word. A defect of ours is something to try again. */
const WORD = {
  invalid: 'invalid_argument',
  unauthenticated: 'unauthenticated',
  unaffordable: 'failed_precondition',
  forbidden: 'permission_denied',
  not_found: 'not_found',
  method_not_allowed: 'unimplemented',
  conflict: 'failed_precondition',
  too_large: 'resource_exhausted',
  unsupported_media: 'invalid_argument',
  rate_limited: 'resource_exhausted',
  internal: 'unavailable',
  unconfigured: 'unavailable',
  at_capacity: 'unavailable',
} as const satisfies Record<Code, RpcCode>;

/** What envd says that none of our codes says. */
export class RpcFailure extends AppError {
  readonly word: RpcCode;

  constructor(word: RpcCode, message: string, options: { cause?: unknown } = {}) {
    super('invalid', message, options);
    this.word = word;
  }
}

/** The only thing that clients take for "the sandbox is not there any more", whatever they asked. */
export class SandboxGone extends AppError {
  readonly sandboxId: string;

  constructor(sandboxId: string, options: { cause?: unknown } = {}) {
    super('conflict', 'The sandbox was not found', options);
    this.sandboxId = sandboxId;
  }
}

/** A file that the disk of the sandbox has no room for. */
export class DiskFull extends AppError {
  constructor(cause: AppError) {
    super('too_large', 'not enough disk space available', { cause });
  }
}

const GONE_STATUS = 502;
const DISK_FULL_STATUS = 507;

const gone = ({ sandboxId, message }: SandboxGone): Answer => ({
  status: GONE_STATUS,
  body: { sandboxId, message, code: GONE_STATUS },
});

export const rpcBody = (error: AppError): { code: RpcCode; message: string } => ({
  code: error instanceof RpcFailure ? error.word : WORD[error.code],
  message: error.message,
});

export function presentRpcError(error: AppError): Answer {
  if (error instanceof SandboxGone) return gone(error);
  const body = rpcBody(error);
  return { status: HTTP_STATUS[body.code], body };
}

export function presentFileError(error: AppError): Answer {
  if (error instanceof SandboxGone) return gone(error);
  const status = fileStatus(error);
  return { status, body: { code: status, message: error.message } };
}

function fileStatus(error: AppError): number {
  if (error instanceof DiskFull) return DISK_FULL_STATUS;
  return error instanceof RpcFailure ? HTTP_STATUS[error.word] : STATUS[error.code];
}

/** The domain's words for a machine that takes nothing. */
const NOT_RUNNING = /^The (machine|sandbox) (is|was|has|did not answer)\b/;

/** Whether a call failed because the machine is not there or not running, and not because of what was asked. */
export const isGone = (error: unknown): boolean =>
  error instanceof SandboxGone ||
  (error instanceof AppError && error.code === 'conflict' && NOT_RUNNING.test(error.message));
