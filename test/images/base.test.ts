import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { prepareTestHost } from '../machines/host.ts';
import { isThere } from './archive.ts';

const TOOLS =
  `attr bash curl g++ gcc git gzip ip jq less make nano node npm npx pip ps python python3 rsync sftp ssh sudo
  tar tini tput unzip vi xz zip`.split(/\s+/);

let image: string;
beforeAll(async () => void (image = (await prepareTestHost()).baseImage.dir), 900_000);

test('the base image has the tools that people expect of a computer', async () => {
  const there = async (tool: string) =>
    (
      await Promise.all(['usr/bin', 'usr/sbin', 'etc/alternatives'].map((path) => isThere(join(image, path, tool))))
    ).includes(true);
  const missing = await Promise.all(TOOLS.map(async (tool) => ((await there(tool)) ? [] : [tool])));
  expect(missing.flat()).toEqual([]);
});

test('it can run an SSH server, and has no host key that two machines would share', async () => {
  expect(await isThere(join(image, 'usr/sbin/sshd'))).toBe(true);
  expect(await isThere(join(image, 'usr/lib/openssh/sftp-server'))).toBe(true);
  expect((await readdir(join(image, 'etc/ssh'))).filter((name) => name.startsWith('ssh_host_'))).toEqual([]);
});
