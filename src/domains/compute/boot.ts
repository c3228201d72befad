import { AppError, isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { ownServer } from './policy.ts';
import type { Offer, Server } from './server.ts';
import type { ComputeWorld } from './world.ts';

/** What a server prints while it starts, as other computers do on their console. It is the tenant's own file. */
const CONSOLE = '/var/log/console.log';
const MAX_CONSOLE_BYTES = 65_536;
const TAG = 'freehold-boot';
const RC_LOCAL_SECONDS = 300;

/** Says that it has started, and starts what its owner wants to be started, in the way that Unix has always had. */
const BOOT_SCRIPT = `
exec >> ${CONSOLE} 2>&1 < /dev/null
echo "== $(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) has started: $(nproc) CPUs, $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MB"
if [ -x /etc/rc.local ]; then
  timeout ${RC_LOCAL_SECONDS} /etc/rc.local
  echo "== /etc/rc.local has ended with $?"
fi
`;

/** What follows each start of a server's machine. Its sshd is a condition of that, its owner's programs are not. */
export async function wakeUp({ machines, ssh, log }: ComputeWorld, op: Op, { id, machineId }: Server): Promise<void> {
  await ssh.settle(op, machineId);
  try {
    const command = ['/bin/sh', '-c', BOOT_SCRIPT];
    const run = await machines.run(op, machineId, { command, user: 'root', cwd: '/', tag: TAG, onDisconnect: 'keep' });
    run.close();
  } catch (error) {
    log.info({ serverId: id, err: error }, 'a server did not begin its console');
  }
}

/** The end of what a server has printed on its console. Throws `conflict` while it does not run. */
export async function consoleOf(world: ComputeWorld, op: Op, offer: Offer, reference: string): Promise<string> {
  const { machineId } = await ownServer(world.db, op, offer, reference);
  const { machines } = world;
  try {
    const { size } = await machines.stat(op, machineId, CONSOLE, { user: 'root' });
    const offset = Math.max(0, size - MAX_CONSOLE_BYTES);
    const { content } = await machines.readStream(op, machineId, CONSOLE, {
      user: 'root',
      offset,
      length: MAX_CONSOLE_BYTES,
    });
    return (await textOf(content)).toWellFormed().replaceAll('\0', '');
  } catch (error) {
    if (isAppError(error, 'not_found')) return '';
    if (isAppError(error, 'invalid') || isAppError(error, 'forbidden'))
      throw new AppError('conflict', `${CONSOLE} of this server is no file that can be read.`, { cause: error });
    throw error;
  }
}

async function textOf(content: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
