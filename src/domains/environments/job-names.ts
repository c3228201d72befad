import type { JobReference } from '../../platform/jobs/index.ts';
import type { InteractionId } from './interaction.ts';
import type { SampleId } from './sample.ts';
import type { SessionId } from './session.ts';
import type { VerificationId } from './verification.ts';

/** What this domain has done later. Jobs of one session's start wait for each other: two would spoil its files. */
export const START: JobReference<{ sessionId: SessionId }> = {
  name: 'environments.start',
  key: ({ sessionId }) => sessionId,
};
export const REMOVE: JobReference<{ sessionId: SessionId }> = {
  name: 'environments.remove-machine',
  key: ({ sessionId }) => sessionId,
};
export const EXEC: JobReference<{ interactionId: InteractionId }> = { name: 'environments.exec' };
export const VERIFY: JobReference<{ verificationId: VerificationId }> = { name: 'environments.verify' };
export const CHECK: JobReference<{ sampleId: SampleId }> = { name: 'environments.check' };
