import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { groupOf } from '../../src/domains/machines/drivers/oci/network.ts';
import { layoutOf } from '../../src/domains/machines/drivers/oci/layout.ts';
import { openInstallation } from '../../src/platform/installation.ts';
import { must, run } from '../../src/platform/run.ts';
import { eventually } from './agent.ts';

/**
 * Takes from an installation what its host loses when it goes down, and nothing of what is on its disk: all processes, also
 * the database's, what is in memory under /run, cgroups, links and the firewall. Its own process has been killed before.
 */
export async function hostGoesDown(dataDir: string): Promise<void> {
  const { instance } = await openInstallation(dataDir, { adminKey: 'unused' });
  const { runDir } = layoutOf({ instance, dataDir });
  await killAll(dataDir, instance);
  for (const group of await cgroupsOf(instance)) await rmdir(group).catch(() => {}); // the kernel's own files are in it
  await run(['ip', 'link', 'delete', 'group', String(groupOf(instance))]);
  for (const table of (await must(['nft', 'list', 'tables'])).split('\n').filter((line) => line.includes(instance)))
    await must(['nft', 'delete', ...table.split(' ')]);
  await rm(runDir, { recursive: true, force: true });
}

async function killAll(dataDir: string, instance: string): Promise<void> {
  const left = async (): Promise<number[]> => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const ours = await Promise.all(
      pids.map(async (pid) => {
        const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
        const [group, command, status] = await Promise.all([read('cgroup'), read('cmdline'), read('status')]);
        const isDead = /^State:\s+[ZX]/m.test(status);
        return !isDead && (group.includes(instance) || (/postgres/.test(command) && command.includes(dataDir)));
      }),
    );
    return pids.filter((_, index) => ours[index]).map(Number);
  };
  await eventually(
    async () => {
      const pids = await left();
      for (const pid of pids) kill(pid);
      return pids;
    },
    ({ length }) => length === 0,
  );
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Deepest first. */
async function cgroupsOf(instance: string): Promise<string[]> {
  const { stdout } = await run(['find', '/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*freehold-${instance}*`]);
  return stdout.toString().split('\n').filter(Boolean);
}
