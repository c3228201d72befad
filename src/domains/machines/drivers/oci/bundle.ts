import type { Limits, MachineProfile } from '../driver.ts';
import { listOf, type Seen } from './seen.ts';
import { seccompFor, type Seccomp } from './seccomp.ts';

/** Host ids that a machine's ids 0 to 65535 stand for. */
export type IdRange = { first: number; count: number };

export type BundleOptions = {
  hostname: string;
  limits: Limits;
  profile: MachineProfile;
  ids: IdRange;
  cgroup: string;
  arch: string;
  /** Open files that the host allows, since not every host lets us raise it. */
  maxOpenFiles: number;
  /** Settings of the machine's own network namespace. */
  sysctl: Record<string, string>;
  /** Where it sees no more than it may use. */
  seen?: Seen | undefined;
};

const CPU_PERIOD_US = 100_000;
const MIB = 1_048_576;
const OPEN_FILES = 65_536;
const TTY_GROUP = 5;
/** Terminals of one machine; the kernel has a few thousand for all. */
const MAX_TERMINALS = 256;

/**
 * What a machine's root may do, inside its own user namespace only: own files, become other users, bind low ports and
 * run an sshd. No mounts, no devices, no raw packets, no tracing of strangers, no kernel settings.
 */
const CAPABILITIES = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** Kernel files that tell of the host or of other machines. */
const MASKED = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/bus',
  '/proc/config.gz',
  '/proc/driver',
  '/proc/interrupts',
  '/proc/kallsyms',
  '/proc/kcore',
  '/proc/key-users',
  '/proc/keys',
  '/proc/kmsg',
  '/proc/kpagecgroup',
  '/proc/kpagecount',
  '/proc/kpageflags',
  '/proc/latency_stats',
  '/proc/modules',
  '/proc/mtrr',
  '/proc/pagetypeinfo',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/slabinfo',
  '/proc/swaps',
  '/proc/sysrq-trigger',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/vmallocinfo',
  '/sys/block',
  '/sys/bus',
  '/sys/class/block',
  '/sys/dev',
  '/sys/devices/pci0000:00',
  '/sys/devices/platform',
  '/sys/devices/pnp0',
  '/sys/devices/virtual/block',
  '/sys/devices/virtual/dmi',
  '/sys/devices/virtual/powercap',
  '/sys/devices/virtual/thermal',
  '/sys/firmware',
  '/sys/fs/bpf',
  '/sys/fs/ext4',
  '/sys/fs/fuse',
  '/sys/fs/pstore',
  '/sys/fs/selinux',
  '/sys/hypervisor',
  '/sys/kernel',
  '/sys/module',
  '/sys/power',
];
const READ_ONLY = ['/proc/fs', '/proc/irq', '/proc/sys'];

type Process = {
  terminal: false;
  user: { uid: number; gid: number; umask: number };
  args: string[];
  env: string[];
  cwd: string;
  capabilities: Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', string[]>;
  noNewPrivileges: boolean;
  rlimits: { type: string; soft: number; hard: number }[];
};

export type Mount = { destination: string; type: string; source: string; options: string[] };

/** The parts of an OCI runtime configuration that we use. */
export type Bundle = {
  ociVersion: string;
  process: Process;
  root: { path: string; readonly: boolean };
  hostname: string;
  mounts: Mount[];
  linux: {
    namespaces: { type: string }[];
    uidMappings: IdMapping[];
    gidMappings: IdMapping[];
    cgroupsPath: string;
    resources: {
      memory: { limit: number; swap: number };
      cpu: { quota: number; period: number; cpus?: string };
      pids: { limit: number };
    };
    sysctl: Record<string, string>;
    seccomp: Seccomp;
    maskedPaths: string[];
    readonlyPaths: string[];
  };
};

type IdMapping = { containerID: number; hostID: number; size: number };

/** The machine's first process: reaps, runs commands and serves files. */
const INIT = ['/.freehold/init'];
/** What init itself is started with; its commands get an environment of their own. Nothing of the host's is in it. */
const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LANG=C.UTF-8'];

/** The configuration of a machine for an OCI runtime. */
export function bundleOf(options: BundleOptions): Bundle {
  const mapping: IdMapping[] = [{ containerID: 0, hostID: options.ids.first, size: options.ids.count }];
  return {
    ociVersion: '1.0.2',
    process: firstProcess(options.maxOpenFiles),
    root: { path: 'rootfs', readonly: false },
    hostname: options.hostname,
    mounts: [...MOUNTS, ...(options.seen?.mounts ?? [])],
    linux: {
      // The runtime makes all of them, the network's too: made inside the machine's user namespace it belongs to the
      // machine, and it dies with the machine's last process, so that nothing has to remember it.
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'user', 'cgroup', 'network'].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
      cgroupsPath: options.cgroup,
      resources: resourcesOf(options),
      sysctl: options.sysctl,
      seccomp: seccompFor(options.arch, options.profile),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  };
}

// `swap` counts memory and swap together: as much as the memory alone means no swap.
const resourcesOf = ({ limits, seen }: BundleOptions): Bundle['linux']['resources'] => ({
  memory: { limit: limits.memoryMb * MIB, swap: limits.memoryMb * MIB },
  cpu: {
    quota: Math.round(limits.vcpus * CPU_PERIOD_US),
    period: CPU_PERIOD_US,
    ...(seen && { cpus: listOf(seen.cpus) }),
  },
  pids: { limit: limits.pids },
});

const MOUNTS: Mount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=64k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      `gid=${TTY_GROUP}`,
      `max=${MAX_TERMINALS}`,
    ],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=64m'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/run', type: 'tmpfs', source: 'run', options: ['nosuid', 'nodev', 'mode=755', 'size=16m'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  // Read-only, so that programs see their own limits and can move nothing.
  { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
];

function firstProcess(maxOpenFiles: number): Process {
  const openFiles = Math.min(OPEN_FILES, maxOpenFiles);
  return {
    terminal: false,
    user: { uid: 0, gid: 0, umask: 0o022 },
    args: INIT,
    env: ENVIRONMENT,
    cwd: '/',
    capabilities: {
      bounding: CAPABILITIES,
      effective: CAPABILITIES,
      permitted: CAPABILITIES,
      inheritable: [],
      ambient: [],
    },
    // sudo needs it off: people and agents expect a computer on which they may install packages. What a set-user-id
    // program can win is bounded by the capabilities above, inside a user namespace whose root is nobody outside.
    noNewPrivileges: false,
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: openFiles, hard: openFiles },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ],
  };
}
