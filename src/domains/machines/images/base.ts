import { join } from 'node:path';
import type { IdRange } from '../drivers/oci/bundle.ts';
import { ensureDebianImage, debianImageDir, type DebianImage, type ImageBuildOptions } from './debian.ts';

const PACKAGES = [
  'attr',
  'bash',
  'build-essential',
  'ca-certificates',
  'coreutils',
  'curl',
  'git',
  'gzip',
  'iproute2',
  'jq',
  'less',
  'nano',
  'ncurses-bin',
  'nodejs',
  'npm',
  'openssh-server',
  'openssh-sftp-server',
  'procps',
  'python-is-python3',
  'python3',
  'python3-pip',
  'python3-venv',
  'rsync',
  'sudo',
  'tar',
  'tini',
  'unzip',
  'vim-tiny',
  'xz-utils',
  'zip',
];

/**
 * Runs on the finished tree, $1. A user with the rights of an administrator; no trace of how this host fetches its
 * packages (a proxy or a mirror may carry credentials); no key that two machines would share; pip installs where it is
 * told to, since a machine has no distribution to protect from it; the mount points of a machine.
 */
export const FINISH = `
set -e
chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash user
printf 'user ALL=(ALL:ALL) NOPASSWD: ALL\\n' > "$1/etc/sudoers.d/user"
chmod 440 "$1/etc/sudoers.d/user"
rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/machine-id" "$1/etc/resolv.conf" "$1/etc/hostname"
rm -f "$1"/etc/ssh/ssh_host_*
printf '[global]\\nbreak-system-packages = true\\n' > "$1/etc/pip.conf"
sed -i -E 's#://[^/@ ]*@#://#' "$1"/etc/apt/sources.list
mkdir -p "$1/dev" "$1/proc" "$1/sys" "$1/run"
`;

const BASE: DebianImage = { name: 'base', packages: PACKAGES, finish: FINISH };

/** Where the base image is, or will be. */
export const baseImageDir = (cacheDir: string, ids: IdRange): string => debianImageDir(BASE, cacheDir, ids);

/** Where imported images are, each in a folder of its name. */
export const importedImagesDir = (dataDir: string): string => join(dataDir, 'images');

/** Builds the base image unless it is there. */
export const ensureBaseImage = (options: ImageBuildOptions): Promise<{ built: boolean }> =>
  ensureDebianImage(BASE, options);
