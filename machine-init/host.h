/* What is done on the host for a machine that is about to begin. */
#ifndef HOST_H
#define HOST_H

#include <sys/types.h>

/*
 * Puts a machine's root file system together, in a mount namespace of its own that this process goes on in. The host
 * never sees the mounts, and when the machine's last process ends the kernel undoes them and frees the loop device:
 * there is nothing to clean up, whoever was killed in between.
 *
 * `hidden` is a mount to take out of sight, or empty. `directory` is the machine's: it has the directories disk, dev
 * and rootfs, and names for its layers, init and lower. `owner` is the host's id of the machine's root. 0 or -1, with
 * what went wrong told on stderr.
 */
int assemble(const char *hidden, const char *directory, const char *disk, uid_t owner);

/*
 * Bounds the file watches of the machine that has `process`: the kernel counts them for all machines together unless a
 * namespace has its own limit. 0 or -1, told on stderr.
 */
int bound_watches(const char *process);

/*
 * Has `ip` do what one batch says on the host, and what the other says in the network of the machine that has `process`.
 * 0 or -1, told on stderr.
 */
int link_machine(const char *process, const char *on_host, const char *in_machine);

/*
 * Gives the machine that has `process` a boot id of its own: the host's is the same for all machines, and does not change
 * when one of them starts anew. 0 or -1, told on stderr.
 */
int own_boot_id(const char *process);

/* Says on stderr what `errno` means for `about`, and is 1. */
int complain(const char *about);

#endif
