import type { z } from 'zod';
import type { FileStat, RunInfo, Sample, Snapshot } from '../../domains/machines/index.ts';
import { hourlyPrice, shortId, type Sandbox } from '../../domains/sandboxes/index.ts';
import { floorToCents } from '../../kernel/money.ts';
import type { FileShown } from './sandbox-files.ts';
import type { MetricShown } from './sandbox-metrics.ts';
import type { RunShown } from './sandbox-runs.ts';
import type { SnapshotShown } from './sandbox-snapshots.ts';
import type { SandboxShown } from './sandbox-wire.ts';

/** The whole server is one. */
const REGION = 'local';
const PERMISSIONS = 0o777;

export const presentSandbox = (sandbox: Sandbox, publicUrl: string): z.input<typeof SandboxShown> => ({
  id: sandbox.id,
  short_id: shortId(sandbox),
  name: sandbox.name ?? shortId(sandbox),
  status: sandbox.state === 'paused' ? 'paused' : 'running',
  terminal_url: `${publicUrl.replace(/^http/, 'ws')}/v1/sandboxes/${sandbox.id}/terminal`,
  vcpu: sandbox.limits.vcpus,
  memory_mb: sandbox.limits.memoryMb,
  disk_gb: sandbox.limits.diskGb,
  region: REGION,
  template: sandbox.template,
  metadata: sandbox.metadata,
  price_per_hour_cents: floorToCents(hourlyPrice(sandbox)),
  on_timeout: sandbox.lifecycle.onTimeout,
  auto_resume: sandbox.lifecycle.autoResume,
  created_at: sandbox.startedAt.toISOString(),
  ends_at: sandbox.endAt?.toISOString() ?? null,
});

export const presentFile = (file: FileStat): z.input<typeof FileShown> => ({
  name: file.name,
  path: file.path,
  type: file.kind,
  size: file.size,
  mode: (file.mode & PERMISSIONS).toString(8).padStart(3, '0'),
  owner: file.owner,
  group: file.group,
  modified_at: file.modifiedAt.toISOString(),
  target: file.target ?? null,
});

export const presentRun = (run: RunInfo): z.input<typeof RunShown> => ({
  pid: run.pid,
  tag: run.tag ?? null,
  command: run.argv,
  cwd: run.cwd,
  user: run.user,
  pty: run.pty,
  started_at: run.startedAt.toISOString(),
});

export const presentSnapshot = (snapshot: Snapshot): z.input<typeof SnapshotShown> => ({
  id: snapshot.id,
  name: snapshot.name ?? null,
  vcpu: snapshot.limits.vcpus,
  memory_mb: snapshot.limits.memoryMb,
  disk_gb: snapshot.limits.diskGb,
  bytes: snapshot.bytes,
  created_at: snapshot.createdAt.toISOString(),
});

export const presentSample = (sample: Sample): z.input<typeof MetricShown> => ({
  at: sample.at.toISOString(),
  cpu_used_percent: sample.cpuUsedPercent,
  cpu_seconds: sample.cpuSeconds,
  memory_bytes: sample.memoryBytes,
  memory_cache_bytes: sample.memoryCacheBytes,
  disk_used_bytes: sample.diskUsedBytes,
  disk_total_bytes: sample.diskTotalBytes,
  processes: sample.processes,
  network_received_bytes: sample.networkReceivedBytes,
  network_sent_bytes: sample.networkSentBytes,
});
