import type { ListedMachine, Usage } from '../../domains/machines/index.ts';

export const presentMachine = (machine: ListedMachine) => ({
  id: machine.id,
  driver: machine.driver,
  tier: machine.tier,
  state: machine.state,
  account_id: machine.accountId,
  purpose: machine.purpose,
  limits: {
    vcpu: machine.limits.vcpus,
    memory_mb: machine.limits.memoryMb,
    disk_gb: machine.limits.diskGb,
    processes: machine.limits.pids,
  },
  usage: machine.usage ? presentUsage(machine.usage) : null,
  created_at: machine.createdAt.toISOString(),
});

const presentUsage = (usage: Usage) => ({
  cpu_seconds: usage.cpuSeconds,
  memory_bytes: usage.memoryBytes,
  disk_bytes: usage.diskBytes,
  processes: usage.processes,
  network_received_bytes: usage.networkReceivedBytes,
  network_sent_bytes: usage.networkSentBytes,
});
