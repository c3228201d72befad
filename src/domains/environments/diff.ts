import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { findSample } from './dataset-store.ts';
import { BASELINE } from './lay-out.ts';
import { readySession } from './policy.ts';
import { noteActivity } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

const DIFF_TIMEOUT_MS = 2 * MINUTE;
const MAX_DIFF_BYTES = 20_000_000;

/**
 * Told from root's own copy of the beginning, so that it does not matter what was done to the workspace's repository.
 * What the workspace's own rules ignore is left out, and so is what interpreters leave.
 */
const SCRIPT = `
set -e
export GIT_DIR=${BASELINE} GIT_WORK_TREE="$1" GIT_INDEX_FILE="$(mktemp -u)"
trap 'rm -f -- "$GIT_INDEX_FILE"' EXIT
cd -- "$1"
git read-tree HEAD
git -c core.fsmonitor=false add --all -- . ':!**/__pycache__/**' ':!**/node_modules/**'
git -c core.quotePath=false diff --cached --binary --no-color --no-ext-diff --no-textconv HEAD
`;

/** What was changed in a session's workspace since its beginning, as a patch that `git apply` takes. */
export async function diff({ db, machines }: EnvironmentsWorld, op: AccountOp, sessionId: string): Promise<Buffer> {
  const session = await readySession(db, op, sessionId);
  await db.transact((tx) => noteActivity(tx, session.id, op.now));
  const sample = await findSample(db, session.sample);
  if (!sample || (sample.trees.workspace === undefined && sample.recipe.grades === 'disk'))
    throw new AppError('conflict', 'The sample has no workspace that a difference could be told of');
  const command = ['/bin/sh', '-c', SCRIPT, 'sh', sample.recipe.workdir];
  const limits = { timeoutMs: DIFF_TIMEOUT_MS, maxOutputBytes: MAX_DIFF_BYTES };
  const outcome = await machines.exec(op, session.machineId, { command, cwd: '/', user: 'root', ...limits });
  if (outcome.stdoutTruncated) throw new AppError('too_large', `The difference has more than ${MAX_DIFF_BYTES} bytes`);
  if (outcome.kind === 'exited' && outcome.exitCode === 0) return outcome.stdout;
  const cause = `${outcome.kind}: ${outcome.stderr.toString()}`;
  throw new AppError('conflict', 'The difference could not be told', { cause });
}
