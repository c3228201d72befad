import type { Id, MachineId } from '../../kernel/ids.ts';
import type { Sha256 } from './blobs.ts';
import type { SessionId } from './session.ts';
import type { Resolution, Verdict } from './verdict.ts';

export type VerificationId = Id<'verification'>;

/** A grading of a session's work. What it says is said of the named contents, whatever the session does after. */
export type Verification = {
  id: VerificationId;
  sessionId: SessionId;
  state: 'pending' | 'running' | 'completed' | 'error';
  createdAt: Date;
  startedAt: Date | undefined;
  endedAt: Date | undefined;
  machineId: MachineId | undefined;
  /** SHA-256 of the archive of the workspace that was graded, and of the tree of hidden tests. */
  workspaceSha256: Sha256 | undefined;
  testsSha256: Sha256 | undefined;
  result: GradingResult | undefined;
  error: { code: string; message: string } | undefined;
};

/** What a grading came to. `stdout` and `stderr` are the verifier's, which may tell what hidden tests are. */
export type GradingResult = Verdict & {
  seconds: number;
  timedOut: boolean;
  stdout: string;
  stderr: string;
  /** Of samples of SWE-bench. */
  resolution?: Resolution | undefined;
};

export const MAX_PENDING_VERIFICATIONS = 8;
