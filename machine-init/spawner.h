/*
 * Runs commands for the server that started it. The server is too large to fork often: each time it stands still for
 * milliseconds while the kernel copies its page tables. This process has next to none.
 *
 * Over the stream socket at descriptor 3 comes one request after the other: its length, a number of the server's choice,
 * and the command's strings, each with its NUL. Without strings it ends that command instead. The answer, in the order
 * in which commands end: its length, the number, the exit code (128 + signal where one ended it), and the first of what
 * the command said on both its output streams. All numbers have four bytes, the most significant first.
 *
 * Of commands beyond the 256th at a time the server does not tell before one has ended: what is to be ended would have
 * to wait behind what cannot begin.
 */
#ifndef SPAWNER_H
#define SPAWNER_H

/* Serves until the server closes its end, or dies; then all commands that still run are killed. 0 or 1. */
int spawn_for_server(const char *own_name);

#endif
