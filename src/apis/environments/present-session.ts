import type { z } from 'zod';
import {
  durationMs,
  hasEnded,
  messageOf,
  type Interaction,
  type Session,
  type Verification,
} from '../../domains/environments/index.ts';
import { elapsedMs, SECOND } from '../../kernel/time.ts';
import type { InteractionShown, JobShown, SessionShown, SessionTaken, VerifyResult } from './session-wire.ts';

export const presentTaken = (session: Session): z.input<typeof SessionTaken> => ({
  session_id: session.id,
  status: session.state,
  expires_at: session.expiresAt.toISOString(),
});

export const secondsOf = (session: Session, now: Date): number => durationMs(session, now) / SECOND;

/** `place` is where its machine is; the contract has a container, which is what a machine is. */
export const presentSession = (
  session: Session,
  { now, place }: { now: Date; place: string | undefined },
): z.input<typeof SessionShown> => ({
  session_id: session.id,
  user_id: session.accountId,
  dataset: session.dataset,
  sample_id: session.sampleId,
  status: session.state,
  requested_at: session.requestedAt.toISOString(),
  created_at: session.readyAt?.toISOString() ?? null,
  expires_at: session.expiresAt.toISOString(),
  duration_seconds: session.readyAt ? secondsOf(session, now) : null,
  container_info:
    session.readyAt && place !== undefined
      ? {
          container_name: session.machineId,
          created_at: session.readyAt.toISOString(),
          expires_at: session.expiresAt.toISOString(),
          location: place,
          sample_id: session.sampleId,
          service_url: '',
          status: hasEnded(session) ? 'stopped' : 'running',
        }
      : null,
  error: session.error ?? null,
  cost_microcents: Number(session.spent),
  forked_from: session.forkedFrom ?? null,
});

export const presentInteraction = (interaction: Interaction): z.input<typeof InteractionShown> => ({
  interaction_id: interaction.id,
  session_id: interaction.sessionId,
  created_at: interaction.createdAt.toISOString(),
  exit_code: interaction.exitCode ?? null,
  stdout: interaction.stdout.kept.toString(),
  stderr: interaction.stderr.kept.toString(),
  execution_time_seconds:
    interaction.startedAt && interaction.endedAt
      ? elapsedMs(interaction.startedAt, interaction.endedAt) / SECOND
      : null,
  success: interaction.exitCode === undefined ? null : interaction.exitCode === 0,
  message: messageOf(interaction) ?? null,
  status: interaction.state,
});

type Told = { session: Session; verification: Verification; reveals: boolean };

export const presentJob = ({ session, verification, reveals }: Told): z.input<typeof JobShown> => ({
  job_id: verification.id,
  session_id: session.id,
  sample_id: session.sampleId,
  status: verification.state,
  created_at: verification.createdAt.toISOString(),
  started_at: verification.startedAt?.toISOString() ?? null,
  completed_at: verification.endedAt?.toISOString() ?? null,
  result: presentResult(verification, reveals),
  error: verification.error ?? null,
  container_info: null,
});

/** What the verifier printed may tell what hidden tests are. */
function presentResult(verification: Verification, reveals: boolean): z.input<typeof VerifyResult> | null {
  const { result, workspaceSha256, testsSha256 } = verification;
  if (!result || workspaceSha256 === undefined || testsSha256 === undefined) return null;
  const { passes, failures, skips } = result;
  return {
    tool: 'test_suite',
    is_success: result.isSuccess,
    total: passes.length + failures.length + skips.length,
    passed: passes.length,
    failed: failures.length,
    skipped: skips.length,
    execution_duration_seconds: result.seconds,
    passes,
    failures,
    skips,
    stdout: reveals ? result.stdout : null,
    stderr: reveals ? result.stderr : null,
    resolution: result.resolution ?? null,
    workspace_sha256: workspaceSha256,
    tests_sha256: testsSha256,
  };
}
