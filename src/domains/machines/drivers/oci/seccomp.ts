import type { MachineProfile } from '../driver.ts';

/**
 * Which system calls a machine may make. An allow-list: what is not named does not exist (ENOSYS), so that a call
 * which a future kernel adds is closed until someone has thought about it, and C libraries fall back to older calls.
 * Left out on purpose: everything that loads code into the kernel (modules, bpf, kexec), opens large or young kernel
 * surfaces (io_uring, userfaultfd, perf, nested namespaces, keyrings, handles) or touches what is not namespaced
 * (clock, swap, quota, reboot, the kernel log).
 */
const ALLOWED = {
  files: `access chdir chmod chown chroot close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr lchown lgetxattr
    link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open
    openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
    removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync
    sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev`,
  watching: `epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch ioctl pipe pipe2 poll ppoll pselect6 select signalfd signalfd4`,
  memory: `brk cachestat get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall
    mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages`,
  processes: `arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv
    futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid
    getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule
    landlock_create_ruleset landlock_restrict_self pidfd_open pidfd_send_signal prctl prlimit64 process_madvise
    process_mrelease process_vm_readv process_vm_writev ptrace rseq sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address
    setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
    setuid sysinfo tgkill time times tkill uname vfork wait4 waitid`,
  signals: `pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack`,
  time: `alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer timer_create
    timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime`,
  sockets: `accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg
    sendmsg sendto setsockopt shutdown`,
  messages: `io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl
    shmdt shmget`,
  random: `getrandom`,
};

type Comparison = 'SCMP_CMP_EQ' | 'SCMP_CMP_NE' | 'SCMP_CMP_GT' | 'SCMP_CMP_MASKED_EQ';
type Condition = { index: number; value: number; valueTwo?: number; op: Comparison };
type Rule = { names: string[]; action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'; errnoRet?: number; args?: Condition[] };
export type Seccomp = {
  defaultAction: 'SCMP_ACT_ERRNO';
  defaultErrnoRet: number;
  architectures: string[];
  syscalls: Rule[];
};

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
/** Every CLONE_NEW* flag of clone(2): a machine makes no namespaces of its own. */
const CLONE_NEW_ANYTHING = 0x7e02_0000;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
/** Address families below netlink that a machine cannot speak; of those above it none. */
const OTHER_FAMILIES = [0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15];
const ADDR_NO_RANDOMIZE = 0x004_0000;
const UNAME26 = 0x002_0000;
const ASK_PERSONALITY = 0xffff_ffff;
/** Refused rather than absent, so that tools report "not permitted" and not a broken system. */
const REFUSED = `acct delete_module finit_module init_module mount move_mount open_tree pivot_root reboot setdomainname
  sethostname setns settimeofday clock_settime swapoff swapon syslog umount umount2 unshare fsopen fsmount fspick
  mount_setattr open_by_handle_at`;

const CLONE_NEWNS = 0x0002_0000;
const CLONE_NEWUTS = 0x0400_0000;
const CLONE_NEWIPC = 0x0800_0000;
const CLONE_NEWUSER = 0x1000_0000;
/** Namespaces that a builder may make: those that image tools cannot do without. */
const BUILDER_NAMESPACES = CLONE_NEWNS + CLONE_NEWUTS + CLONE_NEWIPC + CLONE_NEWUSER;
const CLONE_NEWTIME = 0x80;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_PRIVATE = 0x4_0000;
const MS_SLAVE = 0x8_0000;

/**
 * What a machine in which images are built may call beside that: namespaces inside its own, and mounts that show a
 * part of its own tree in a second place. No mount brings up a file system driver, see decision 0005.
 */
const BUILDER_CALLS: Rule[] = [
  allowWhen('unshare', masked(0, CLONE_NEW_ANYTHING - BUILDER_NAMESPACES + CLONE_NEWTIME, 0)),
  allowWhen('clone', masked(0, CLONE_NEW_ANYTHING - BUILDER_NAMESPACES, 0)),
  allowWhen('mount', masked(3, MS_BIND, MS_BIND)),
  ...[MS_PRIVATE, MS_SLAVE].map((kind) => allowWhen('mount', masked(3, MS_REMOUNT + MS_BIND + kind, kind))),
  { names: ['umount2'], action: 'SCMP_ACT_ALLOW' },
];
const BUILDER_NAMES = new Set(BUILDER_CALLS.flatMap(({ names }) => names));

/** The profile for a processor as Node names it. */
export function seccompFor(arch: string, profile: MachineProfile): Seccomp {
  const builder = profile === 'builder';
  const refused = words(REFUSED).filter((name) => !(builder && BUILDER_NAMES.has(name)));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    architectures: [arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64'],
    syscalls: [
      { names: Object.values(ALLOWED).flatMap(words), action: 'SCMP_ACT_ALLOW' },
      { names: refused, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      ...(builder ? BUILDER_CALLS : [allowWhen('clone', masked(0, CLONE_NEW_ANYTHING, 0))]),
      ...[AF_UNIX, AF_INET, AF_INET6].flatMap((family) => [
        allowWhen('socket', equals(0, family)),
        allowWhen('socketpair', equals(0, family)),
      ]),
      // `ip` and getifaddrs ask over route netlink; the other netlink families reach parts that no tenant needs.
      allowWhen('socket', equals(0, AF_NETLINK), equals(2, NETLINK_ROUTE)),
      // The answer that programs expect where a family is not built in: sudo goes on without the audit family.
      noSuchFamily(equals(0, AF_NETLINK), { index: 2, value: NETLINK_ROUTE, op: 'SCMP_CMP_NE' }),
      noSuchFamily({ index: 0, value: AF_NETLINK, op: 'SCMP_CMP_GT' }),
      ...OTHER_FAMILIES.map((family) => noSuchFamily(equals(0, family))),
      ...[0, UNAME26, ADDR_NO_RANDOMIZE, ASK_PERSONALITY].map((persona) =>
        allowWhen('personality', equals(0, persona)),
      ),
    ],
  };
}

// clone3 passes its flags in memory, where no filter sees them; it is absent, and C libraries then use clone.

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

function equals(index: number, value: number): Condition {
  return { index, value, op: 'SCMP_CMP_EQ' };
}

/** Of the argument's bits that are in `mask`, exactly those of `value` are set. */
function masked(index: number, mask: number, value: number): Condition {
  return { index, value: mask, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' };
}

function allowWhen(name: string, ...args: Condition[]): Rule {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args };
}

function noSuchFamily(...args: Condition[]): Rule {
  return { names: ['socket'], action: 'SCMP_ACT_ERRNO', errnoRet: EAFNOSUPPORT, args };
}
