import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Machines } from './index.ts';
import type { RunStream } from './init/index.ts';
import { PLATFORM_TAG } from './runs.ts';
import type { HostKey } from './ssh-keys.ts';
import type { SshEntry } from './ssh-store.ts';

/** Where sshd listens: on the machine's own loopback, and everywhere where the machine has an address of its own. */
export const SSH_PORT = 22;

/** A run of sshd bears this name, by which it is found again. */
const TAG = `${PLATFORM_TAG}sshd`;
const SSHD = '/usr/sbin/sshd';
const DIRECTORY = '/run/freehold-ssh';
const PREPARE_TIMEOUT_MS = MINUTE;
const START_TIMEOUT_MS = 10_000;
const LISTENING = /Server listening on \S+ port 22\b/;
const SIGHUP = 1;
const SIGTERM = 15;
const ERROR_TAIL = 300;
const NO_SSHD = 90;
const CHANGED = 'configuration changed';
/** There as long as a sshd that runs may not have read the configuration: whoever was to tell it may have died. */
const UNREAD = `${DIRECTORY}/unread`;

/** What a machine is told of who comes in. */
export type SshServer = SshEntry & {
  hostKey: HostKey;
  address: string | undefined;
  /** Becomes the login's own, where it is given. */
  newPassword?: string | undefined;
};

/** Of a computer its owner decides who else comes in: there its users' own keys count as well. */
const configOf = ({ login, password, address }: SshServer): string => `
Port ${SSH_PORT}
ListenAddress ${address === undefined ? '127.0.0.1' : '0.0.0.0'}
HostKey ${DIRECTORY}/host_key
AuthorizedKeysFile ${DIRECTORY}/authorized_keys${login === 'user' ? '' : ' .ssh/authorized_keys'}
PidFile none
${login === 'user' ? 'AllowUsers user root' : '# whoever has an account'}
PermitRootLogin ${password ? 'yes' : 'prohibit-password'}
PasswordAuthentication ${password ? 'yes' : 'no'}
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
MaxStartups 64:30:128
MaxSessions 64
ClientAliveInterval 60
ClientAliveCountMax 3
`;

/**
 * Runs as the machine's root. Each file comes beside the old one and then in its place. A user without a password may
 * be locked, which keeps out keys as well: it gets the password that none fits.
 */
const prepareScript = (server: SshServer): string => `
set -eu
umask 077
[ -x ${SSHD} ] || exit ${NO_SSHD}
mkdir -p /run/sshd ${DIRECTORY}
chmod 755 /run/sshd ${DIRECTORY}
cd ${DIRECTORY}
cat > host_key.new <<'END_OF_FILE'
${server.hostKey.privateFile}END_OF_FILE
cat > sshd_config.new <<'END_OF_FILE'
${configOf(server)}END_OF_FILE
cat > authorized_keys.new <<'END_OF_FILE'
${server.authorizedKeys.join('\n')}
END_OF_FILE
chmod 644 authorized_keys.new
cmp -s sshd_config sshd_config.new || : > ${UNREAD}
${server.login === 'agent' ? MAKE_AGENT : ''}
for file in host_key sshd_config authorized_keys; do mv -f $file.new $file; done
[ ! -e ${UNREAD} ] || echo ${CHANGED}
for name in user root agent; do
  case "$(getent shadow $name)" in $name:!*) usermod -p '*' $name ;; esac
done
${server.newPassword === undefined ? '' : passwordScript(server.login, server.newPassword)}
`;

const MAKE_AGENT = `
if ! id agent > /dev/null 2>&1; then
  useradd --user-group --create-home --shell /bin/bash agent
  echo 'agent ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/agent
  chmod 440 /etc/sudoers.d/agent
fi
`;

/** The machine hashes it. It comes by the shell's input, so that no list of processes ever shows it. */
const passwordScript = (login: string, password: string): string => `
chpasswd <<'END_OF_PASSWORD'
${login}:${password}
END_OF_PASSWORD
`;

type Verbs = Pick<Machines, 'exec' | 'run' | 'runs' | 'signalRun'>;

/** Gives a machine its keys and sees to it that its sshd runs. Throws `conflict` where it cannot. */
export async function settleServer(machines: Verbs, op: Op, id: MachineId, server: SshServer): Promise<void> {
  const prepared = await machines.exec(op, id, {
    command: ['/bin/sh', '-s'],
    stdin: prepareScript(server),
    user: 'root',
    cwd: '/',
    timeoutMs: PREPARE_TIMEOUT_MS,
  });
  if (prepared.kind === 'lost') throw new AppError('conflict', 'The machine is not running.');
  if (prepared.kind !== 'exited') throw new AppError('conflict', 'The machine did not take its SSH keys in time.');
  if (prepared.exitCode === NO_SSHD) throw new AppError('conflict', 'The image of this machine has no sshd.');
  if (prepared.exitCode !== 0)
    throw new AppError('conflict', `The machine did not take its SSH keys: ${tailOf(prepared.stderr)}`);
  await startServer(machines, op, id, prepared.stdout.toString().includes(CHANGED));
}

async function startServer(machines: Verbs, op: Op, id: MachineId, isChanged: boolean): Promise<void> {
  if (await isServing(machines, op, id)) {
    if (isChanged) await haveRead(machines, op, id);
    return;
  }
  const command = ['/bin/sh', '-c', `rm -f ${UNREAD}; exec ${SSHD} -D -e -f ${DIRECTORY}/sshd_config`];
  const request = { command, user: 'root', cwd: '/', tag: TAG, onDisconnect: 'keep' } as const;
  const stream = await machines.run(op, id, request);
  // It goes on without us; what it has said by then is enough.
  const timer = setTimeout(() => stream.close(), START_TIMEOUT_MS);
  try {
    await untilListening(stream);
  } catch (error) {
    // Of two that start it at once one finds the port taken by the other.
    if (!(await isServing(machines, op, id))) throw error;
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

/** It reads its configuration again and lets those stay who are inside. */
async function haveRead(machines: Verbs, op: Op, id: MachineId): Promise<void> {
  await machines.signalRun(op, id, { tag: TAG }, SIGHUP, 'process');
  const command = ['rm', '-f', UNREAD];
  await machines.exec(op, id, { command, user: 'root', cwd: '/', timeoutMs: PREPARE_TIMEOUT_MS });
}

const isServing = async (machines: Verbs, op: Op, id: MachineId): Promise<boolean> =>
  (await machines.runs(op, id)).some(({ tag }) => tag === TAG);

/**
 * Throws with what sshd said when it has ended. That somebody answers at the port would prove nothing: it may be a
 * program of the tenant.
 */
async function untilListening(stream: RunStream): Promise<void> {
  let said = '';
  for await (const event of stream) {
    if (event.kind === 'exit') break;
    said += event.data.toString();
    if (LISTENING.test(said)) return;
  }
  throw new AppError('conflict', `The machine's sshd does not start: ${tailOf(said)}`);
}

/** Ends sshd and everybody's sessions. A machine that does not run, or has none, is left as it is. */
export async function stopServer(machines: Verbs, op: Op, id: MachineId): Promise<void> {
  try {
    await machines.signalRun(op, id, { tag: TAG }, SIGTERM, 'tree');
  } catch (error) {
    if (!(error instanceof AppError) || !['not_found', 'conflict'].includes(error.code)) throw error;
  }
}

const tailOf = (output: Buffer | string): string => output.toString().trim().slice(-ERROR_TAIL);
