import type { Command } from '../../../../platform/run.ts';
import type { IdRange } from './bundle.ts';
import type { Places } from './layout.ts';

export type RuntimeName = 'crun' | 'runc';

/** The runtime's program and where it keeps its state. */
export type Runtime = {
  name: RuntimeName;
  root: string;
  /** Where the cgroup tree is a hybrid one; crun refuses to work while it can see the unified half. */
  unifiedMount: string | undefined;
};

const runtimeCommand = (runtime: Runtime, ...args: string[]): Command => [
  runtime.name,
  '--root',
  runtime.root,
  ...args,
];

export type CreateOptions = {
  runtime: Runtime;
  id: string;
  places: Places;
  ids: IdRange;
  /** The program that is the machine's first process, and on the host makes the socket that it listens on. */
  init: string;
};

/**
 * Mounts the disk and the root file system in a mount namespace of its own, and makes the container there. The host
 * never sees the mounts, and when the machine's last process ends the kernel undoes them and frees the loop device:
 * there is nothing to clean up, whoever was killed in between. The devices are copies, since a runtime takes them from
 * /dev as it finds it: nothing that a machine might do to a node's owner or mode can reach the host's own.
 *
 * $1 unified cgroup mount to hide, $2 machine's directory, $3 disk image, $4 host id of its root; then the runtime's
 * command. What is below `upper` is the machine's, and nothing of it is followed; only what it may have put in the place
 * of its own init goes.
 */
const CREATE_SCRIPT = `
if [ -n "$1" ]; then umount "$1"; fi
cd "$2"
mount -t ext4 -o loop,nodev,noatime "$3" disk
if [ ! -d disk/upper ]; then
  mkdir disk/upper disk/work
  chown "$4:$4" disk/upper
fi
rm -rf disk/upper/.freehold
mount -t overlay -o nodev,lowerdir=init:lower,upperdir=disk/upper,workdir=disk/work overlay rootfs
mount -t tmpfs -o nosuid,noexec,mode=755,size=64k dev dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev
mount --move dev /dev
shift 4
exec "$@"
`;

/** Makes a machine's container, up to the moment before its first process runs, which has the socket as descriptor 3. */
export function createCommand({ runtime, id, places, ids, init }: CreateOptions): Command {
  const hidden = runtime.name === 'crun' ? (runtime.unifiedMount ?? '') : '';
  const inOwnMounts = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '/bin/sh',
    '-e',
    '-c',
    CREATE_SCRIPT,
    'freehold',
  ];
  const create = ['create', '--preserve-fds', '1', '--bundle', places.dir, '--pid-file', places.pidFile, id];
  return [
    ...inOwnMounts,
    hidden,
    places.dir,
    places.disk,
    String(ids.first),
    init,
    'listen',
    places.socket,
    '--',
    ...runtimeCommand(runtime, ...create),
  ];
}

/** File watches of one machine: the kernel counts them for all machines together unless a namespace has its own limit. */
const WATCHERS = 1_024;
const WATCHES = 131_072;

/** $1 a process of the machine; then the runtime's command. */
const START_SCRIPT = `
nsenter --user="/proc/$1/ns/user" -- /bin/sh -e -c '
  echo ${WATCHERS} > /proc/sys/user/max_inotify_instances
  echo ${WATCHES} > /proc/sys/user/max_inotify_watches'
shift
exec "$@"
`;

/** Lets the machine whose first process is `pid` run. */
export const startCommand = (runtime: Runtime, id: string, pid: number): Command => [
  '/bin/sh',
  '-e',
  '-c',
  START_SCRIPT,
  'start',
  String(pid),
  ...runtimeCommand(runtime, 'start', id),
];
