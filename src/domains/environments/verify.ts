import { AppError, isAppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import { newId, type AccountOp, type Op } from '../../kernel/op.ts';
import { findDataset, findSample } from './dataset-store.ts';
import { tell } from './facts.ts';
import { grade, type Graded, type Work } from './grade.ts';
import { VERIFY } from './job-names.ts';
import { checkReady, readySession } from './policy.ts';
import type { Sample } from './sample.ts';
import { hasEnded, type Session } from './session.ts';
import { findSession, lockSession, noteActivity } from './session-store.ts';
import { MAX_PENDING_VERIFICATIONS, type Verification, type VerificationId } from './verification.ts';
import {
  countOpenVerifications,
  findVerification,
  insertVerification,
  noteGrader,
  writeVerificationEnd,
  type VerificationEnd,
} from './verification-store.ts';
import { recordOp, type EnvironmentsWorld } from './world.ts';

/** Takes on a grading of what a session has made so far; a job does it. */
export async function verify(world: EnvironmentsWorld, op: AccountOp, sessionId: string): Promise<Verification> {
  const { id } = await readySession(world.db, op, sessionId);
  const wanted = { id: newId(op, 'verification'), sessionId: id, createdAt: op.now };
  return world.db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    checkReady(session ?? { state: 'closed' });
    if ((await countOpenVerifications(tx, id)) >= MAX_PENDING_VERIFICATIONS)
      throw new AppError('conflict', `A session has ${MAX_PENDING_VERIFICATIONS} verifications at a time`);
    if (await insertVerification(tx, wanted)) await world.jobs.enqueue(tx, VERIFY, { verificationId: wanted.id });
    await noteActivity(tx, id, op.now);
    const verification = await findVerification(tx, wanted.id);
    if (!verification) throw new Error('a verification that was just made is not there');
    return verification;
  });
}

/** Grades. An attempt that was broken off is begun anew, in another machine, with the work as it is then. */
export async function carryOutVerification(world: EnvironmentsWorld, op: Op, id: VerificationId): Promise<void> {
  const verification = await findVerification(world.db, id);
  const session = verification && (await findSession(world.db, verification.sessionId));
  const sample = session && (await findSample(world.db, session.sample));
  if (!sample) return;
  const machineId = newId(op, 'machine');
  const begun = await world.db.transact((tx) => noteGrader(tx, id, machineId, world.clock.now()));
  if (!begun) return;
  if (begun.before) await world.machines.destroy(op, begun.before);
  const end = await attempt(world, op, { session, sample, machineId });
  const done = recordOp(world, op);
  await world.db.transact(async (tx) => {
    if (!(await writeVerificationEnd(tx, { id, machineId }, end, done.now))) return;
    await noteActivity(tx, session.id, done.now);
    const isSuccess = 'result' in end ? end.result.isSuccess : null;
    await tell(tx, done, 'session.verified', session, { verificationId: id, isSuccess });
  });
}

type Attempt = { session: Session; sample: Sample; machineId: MachineId };

async function attempt(world: EnvironmentsWorld, op: Op, given: Attempt): Promise<VerificationEnd> {
  try {
    return await gradeWork(world, op, given);
  } catch (error) {
    // A server that stops hands this on, and a full host is asked again.
    if (op.signal.aborted || isAppError(error, 'at_capacity')) throw error;
    const now = await findSession(world.db, given.session.id);
    if (!now || hasEnded(now))
      return { error: { code: 'session_over', message: 'The session ended before its work was graded' } };
    world.log.warn({ sessionId: given.session.id, err: error }, 'a verification failed');
    const message = isAppError(error) ? error.message : 'The verification could not be carried out';
    return { error: { code: 'verification_failed', message } };
  }
}

async function gradeWork(world: EnvironmentsWorld, op: Op, { session, sample, machineId }: Attempt): Promise<Graded> {
  const dataset = await findDataset(world.db, sample.dataset);
  const request = { sample, grading: dataset?.grading ?? 'strict', machineId, accountId: session.accountId };
  if (sample.recipe.grades === 'workspace')
    return grade(world, op, { ...request, work: workspaceOf(world, op, session, sample) });
  const snapshot = await world.machines.snapshot(op, session.machineId);
  try {
    return await grade(world, op, { ...request, work: { kind: 'disk', snapshot: snapshot.id } });
  } finally {
    await world.machines.removeSnapshot(recordOp(world, op), snapshot.id);
  }
}

/** The workspace as root of the session's machine sees it: whatever it sends is the work that is graded. */
const workspaceOf = ({ machines }: EnvironmentsWorld, op: Op, { machineId }: Session, { recipe }: Sample): Work => ({
  kind: 'archive',
  content: () => machines.downloadTree(op, machineId, recipe.workdir, { user: 'root' }),
});
