import { Duplex } from 'node:stream';
import type { Ssh, SshAccess } from '../../src/domains/machines/index.ts';
import { hostKeyOf } from '../../src/domains/machines/ssh-keys.ts';
import { AppError } from '../../src/kernel/errors.ts';
import type { MachineId } from '../../src/kernel/ids.ts';

export type ListedSsh = Ssh & {
  /** What was asked of it, in order, as `verb id`. */
  readonly asked: string[];
};

/** SSH of machines that only exist on a list: whoever connects is greeted as by OpenSSH, and nothing follows. */
export function listedSsh(): ListedSsh {
  const known = new Map<MachineId, SshAccess>();
  const asked: string[] = [];
  return {
    asked,
    async open(_op, id, { authorizedKeys, login = 'user' }) {
      asked.push(`open ${id}`);
      const { publicKey, fingerprint } = hostKeyOf(Buffer.alloc(32, 1), id);
      const host = 'freehold.test';
      const port = known.get(id)?.port ?? 20_000 + known.size;
      const knownHosts = `[${host}]:${port} ${publicKey}`;
      const access = { host, port, user: login, hostKeys: [publicKey], fingerprint, knownHosts };
      known.set(id, { ...access, authorizedKeys: [...authorizedKeys] });
      return { ...access, authorizedKeys: [...authorizedKeys] };
    },
    async settle(_op, id) {
      asked.push(`settle ${id}`);
    },
    async get(_op, id) {
      const access = known.get(id);
      if (!access) throw new AppError('not_found', 'This machine takes no SSH');
      return access;
    },
    async close(_op, id) {
      known.delete(id);
    },
    doors: async () => [],
    connect: async () => greeting(),
  };
}

const greeting = (): Duplex =>
  new Duplex({
    read() {
      this.push('SSH-2.0-listed\r\n');
      this.push(null);
    },
    write(_chunk, _encoding, done) {
      done();
    },
  });
