import type { Visit } from './access.ts';
import { within } from './access.ts';
import { SandboxGone } from './failure.ts';
import { environment } from './process-stream.ts';
import { after, MINUTE, SECOND } from '../../../kernel/time.ts';

/** What the daemon tells of its sandbox (clause 4 of the sheet). */

const MIB = 1_024 * 1_024;
/** Samples that are older tell nothing of now. */
const LATEST_MS = MINUTE;

/** What it uses right now. */
export const showMetrics = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const { machines, op, sandbox } = visit;
    const usage = await machines.usage(op, sandbox.machineId);
    if (!usage) throw new SandboxGone(sandbox.code);
    const [latest] = (
      await machines.samples(op, sandbox.machineId, { start: after(op.now, -LATEST_MS), end: op.now })
    ).slice(-1);
    return {
      ts: Math.floor(op.now.getTime() / SECOND),
      cpu_count: sandbox.limits.vcpus,
      cpu_used_pct: latest?.cpuUsedPercent ?? 0,
      mem_total: sandbox.limits.memoryMb * MIB,
      mem_used: usage.memoryBytes,
      mem_cache: usage.memoryCacheBytes,
      disk_used: usage.diskUsedBytes,
      disk_total: usage.diskTotalBytes,
    };
  });

/** The environment that it gives to every process. */
export const showEnvironment = ({ sandbox }: Visit): Record<string, string> => environment(sandbox);
