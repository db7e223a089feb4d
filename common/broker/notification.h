/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notifications of a server's system calls, and answers to them (seccomp_unotify(2)).
 *
 * Another thread of the server can change the arguments in memory at any time. It gains nothing: an
 * answer depends only on the bytes that were read here, and gives access only to the files that the
 * helper opens for this mount. If a call is continued, the kernel reads the memory again, but
 * executes the call with the rights of the server, which has no privileges.
 */
#pragma once

#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct notification {
	int notify_fd;
	uint64_t id;
	pid_t pid;  /* the thread that made the call and is blocked in it */
	int number; /* SYS_* */
	uint64_t arguments[6];
};

/*
 * Receive the next notification from NOTIFY_FD.
 * Return 0; -ENOENT if the thread was killed meanwhile; -ENODEV or another negative errno if no
 * process is left under the filter.
 */
int notification_receive(int notify_fd, struct notification *notification);

/*
 * Read the string at ADDRESS of the server's memory into BUFFER of SIZE bytes.
 * Return 0; -ENAMETOOLONG if it does not end within SIZE bytes; or another negative errno.
 */
int notification_read_string(const struct notification *notification, uint64_t address,
			     char *buffer, size_t size);

/* Write SIZE bytes to ADDRESS of the server's memory. Return 0 or a negative errno. */
int notification_write(const struct notification *notification, uint64_t address,
		       const void *buffer, size_t size);

/*
 * The following functions answer a notification. They report no error: if the thread was killed
 * meanwhile, the answer is discarded.
 */

/* Let the kernel execute the call. */
void notification_continue(const struct notification *notification);

/* Return RESULT from the call; a negative errno makes it fail. */
void notification_answer(const struct notification *notification, long result);

/* Return a copy of FD from the call, close-on-exec if OPEN_FLAGS contain O_CLOEXEC. */
void notification_answer_fd(const struct notification *notification, int fd, int open_flags);
