/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One system call of a server that waits for an answer, see seccomp_unotify(2).
 *
 * What is read from the server's memory may be something else a moment later: another thread of it
 * may write there. That gains it nothing. An answer is made of what was read, and never gives more
 * than the server may have under any name; a call that is passed on is done by the kernel with the
 * server's own rights, which are none.
 */
#pragma once

#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct notification {
	int listener;
	uint64_t id;
	pid_t pid; /* the thread that waits */
	int call;  /* the number of the system call */
	uint64_t arguments[6];
};

/*
 * Takes the next one from LISTENER. Returns 0; -ENOENT where the caller was killed meanwhile;
 * -ENODEV or another negative errno where there is nobody left who could call.
 */
int notification_receive(int listener, struct notification *notification);

/*
 * Reads the string at ADDRESS of the server's memory into BUFFER. Returns 0; -ENAMETOOLONG without
 * a NUL in SIZE bytes; or a negative errno.
 */
int notification_read_string(const struct notification *notification, uint64_t address,
			     char *buffer, size_t size);

/* Writes SIZE bytes to ADDRESS of the server's memory. Returns 0 or a negative errno. */
int notification_write(const struct notification *notification, uint64_t address,
		       const void *buffer, size_t size);

/* The answers. That the caller is gone meanwhile is no error: the last three tell nobody. */

/* Lets the kernel do the call. */
void notification_continue(const struct notification *notification);

/* The call returns RESULT, or fails with it where it is a negative errno. */
void notification_answer(const struct notification *notification, long result);

/* The call returns a copy of FD in the server, close-on-exec if OPEN_FLAGS have O_CLOEXEC. */
void notification_answer_descriptor(const struct notification *notification, int fd,
				    int open_flags);
