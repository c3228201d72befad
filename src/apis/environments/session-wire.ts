import { z } from 'zod';
import { DEFAULT_TTL_MINUTES, MAX_TTL_MINUTES, MIN_TTL_MINUTES } from '../../domains/environments/index.ts';
import { Timestamp, Uuid } from './wire.ts';

/** What sessions, their commands and their verifications look like. */
export const SessionParams = z.object({ session_id: z.string() });
export const InteractionParams = SessionParams.extend({ interaction_id: z.string() });
export const JobParams = SessionParams.extend({ job_id: z.string() });

const MAX_NAME_LENGTH = 128;
export const Name = z.string().min(1).max(MAX_NAME_LENGTH);
export const Minutes = z.int().min(MIN_TTL_MINUTES).max(MAX_TTL_MINUTES);

export const Ttl = z.object({ ttl_minutes: Minutes.default(DEFAULT_TTL_MINUTES) });
export const NewSession = z.object({
  dataset: Name.meta({ examples: ['starter'] }),
  sample_id: Name.meta({ examples: ['starter__csv-rows-1'] }),
  ttl_minutes: Minutes.default(DEFAULT_TTL_MINUTES),
  idle_timeout_minutes: Minutes.nullish().meta({
    description: 'Ends the session when nothing was asked of it for so long.',
  }),
});

export const SessionStatus = z.enum(['creating', 'ready', 'error', 'closed', 'terminated']);
export const SessionTaken = z.object({ session_id: Uuid, status: SessionStatus, expires_at: Timestamp });

export const Problem = z.object({ code: z.string(), message: z.string() });
export const ContainerInfo = z.object({
  container_name: z.string(),
  created_at: Timestamp,
  expires_at: Timestamp,
  location: z.string(),
  sample_id: z.string(),
  service_url: z.string(),
  status: z.string(),
});

export const SessionShown = z.object({
  session_id: Uuid,
  user_id: Uuid,
  dataset: z.string(),
  sample_id: z.string(),
  status: SessionStatus,
  requested_at: Timestamp,
  created_at: Timestamp.nullable().meta({ description: 'When the machine was ready, and billing began.' }),
  expires_at: Timestamp,
  duration_seconds: z.number().nullable(),
  container_info: ContainerInfo.nullable(),
  error: Problem.nullable(),
  cost_microcents: z.int().meta({
    description: 'Ten-thousandths of a cent that it has cost; what is paid ahead is in it until it is over.',
    examples: [2500],
  }),
  forked_from: Uuid.nullable(),
});
export const SessionList = z.object({
  sessions: z.array(SessionShown),
  total_count: z.int().meta({ description: 'How many there are on all pages.' }),
  has_more: z.boolean(),
});

export const InteractionStatus = z.enum(['pending', 'completed', 'error']);
export const InteractionShown = z.object({
  interaction_id: Uuid,
  session_id: Uuid,
  created_at: Timestamp,
  exit_code: z
    .int()
    .nullable()
    .meta({ description: '124 where the time was over, -1000 where the platform failed; null while it runs.' }),
  stdout: z.string(),
  stderr: z.string(),
  execution_time_seconds: z.number().nullable(),
  success: z.boolean().nullable(),
  message: z.string().nullable().meta({ description: 'What is to be known of its end, and of output that was cut.' }),
  status: InteractionStatus,
});

export const JobStatus = z.enum(['pending', 'starting', 'running', 'completed', 'error', 'cancelled']);
export const VerifyResult = z.object({
  tool: z.enum(['test_suite', 'static_analysis', 'linter', 'custom']),
  is_success: z.boolean(),
  total: z.int(),
  passed: z.int(),
  failed: z.int(),
  skipped: z.int(),
  execution_duration_seconds: z.number(),
  passes: z.array(z.string()),
  failures: z.array(z.string()),
  skips: z.array(z.string()),
  stdout: z.string().nullable().meta({ description: 'Null where the dataset does not show its tests.' }),
  stderr: z.string().nullable(),
  resolution: z
    .enum(['RESOLVED_FULL', 'RESOLVED_PARTIAL', 'RESOLVED_NO'])
    .nullable()
    .meta({ description: 'Of a sample in the format of SWE-bench, its own word for what came of it.' }),
  workspace_sha256: z.string().meta({ description: 'Of the archive of the workspace that was graded.' }),
  tests_sha256: z.string().meta({ description: 'Of the hidden tests that it was graded with.' }),
});
export const JobShown = z.object({
  job_id: Uuid,
  session_id: Uuid,
  sample_id: z.string(),
  status: JobStatus,
  created_at: Timestamp,
  started_at: Timestamp.nullable(),
  completed_at: Timestamp.nullable(),
  result: VerifyResult.nullable(),
  error: Problem.nullable(),
  container_info: ContainerInfo.nullable(),
});
