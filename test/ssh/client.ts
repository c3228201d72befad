import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must, run, type Command } from '../../src/platform/run.ts';

const PATIENCE_MS = 60_000;

/** What the API tells of how to get in. */
export type Access = { host: string; port: number; user: string; known_hosts: string };

/** How an SSH client ended, and all that it printed. */
export type Ended = { exitCode: number | undefined; text: string };

async function ended(command: Command, stdin?: string): Promise<Ended> {
  const result = await run(command, {
    timeoutMs: PATIENCE_MS,
    ...(stdin !== undefined && { stdin }),
  });
  const exitCode = result.kind === 'exited' ? result.exitCode : undefined;
  return { exitCode, text: Buffer.concat([result.stdout, result.stderr]).toString().trim() };
}

/** A person's computer with OpenSSH and a key, that trusts the hosts it has been told of and no other. */
export async function sshClient() {
  const folder = await mkdtemp(join(tmpdir(), 'freehold-ssh-client-'));
  const key = join(folder, 'id');
  const knownHosts = join(folder, 'known_hosts');
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'me@home', '-f', key]);
  await writeFile(knownHosts, '');
  const options = [
    '-F',
    'none',
    '-i',
    key,
    ...Object.entries({
      StrictHostKeyChecking: 'yes',
      UserKnownHostsFile: knownHosts,
      GlobalKnownHostsFile: '/dev/null',
      IdentitiesOnly: 'yes',
      BatchMode: 'yes',
      LogLevel: 'ERROR',
    }).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ];
  return {
    folder,
    publicKey: (await readFile(`${key}.pub`, 'utf8')).trim(),
    options,
    trust: (access: Access) => writeFile(knownHosts, `${access.known_hosts}\n`),
    ssh: (access: Access, command: string, stdin?: string): Promise<Ended> =>
      ended(['ssh', ...options, '-p', String(access.port), `${access.user}@${access.host}`, command], stdin),
    /** `from` and `to`: a path, or `:path` in the machine. */
    scp(access: Access, from: string, to: string): Promise<Ended> {
      const at = (path: string) => (path.startsWith(':') ? `${access.user}@${access.host}${path}` : path);
      return ended(['scp', ...options, '-P', String(access.port), at(from), at(to)]);
    },
    /** Like `rsync -a --delete`, with the count of bytes that it sent of the files themselves. */
    async rsync(access: Access, from: string, to: string): Promise<Ended & { literalBytes: number }> {
      const at = (path: string) => (path.startsWith(':') ? `${access.user}@${access.host}${path}` : path);
      const shell = ['ssh', ...options, '-p', String(access.port)].join(' ');
      const result = await ended([
        'rsync',
        '-a',
        '--delete',
        '--no-whole-file',
        '--stats',
        '-e',
        shell,
        at(from),
        at(to),
      ]);
      const [, literal = ''] = /^Literal data: ([\d,]+) bytes$/m.exec(result.text) ?? [];
      return { ...result, literalBytes: Number(literal.replaceAll(',', '')) };
    },
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
}

export type SshClient = Awaited<ReturnType<typeof sshClient>>;
