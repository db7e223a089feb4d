/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/interrupt.h"

#include "base/array.h"
#include "base/deadline.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

sigset_t interrupt_signal_set(const int *numbers, size_t count)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		sigaddset(&set, numbers[i]);
	return set;
}

static sigset_t interrupt_signals(void)
{
	static const int numbers[] = { INTERRUPT_SIGNALS };

	return interrupt_signal_set(numbers, ARRAY_SIZE(numbers));
}

/* Unlike SIG_IGN, a handler is reset by execve(2). */
static void handle_nothing(int number)
{
	(void)number;
}

int interrupt_open(void)
{
	sigset_t set = interrupt_signals();
	int fd;

	/*
	 * SIGPIPE: a closed pipe on standard error must not kill the process before it has cleaned
	 * up. SIGXFSZ: a file size limit of the caller must fail a write with an error message.
	 */
	signal(SIGPIPE, handle_nothing);
	signal(SIGXFSZ, handle_nothing);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void interrupt_block(sigset_t *before)
{
	sigset_t set = interrupt_signals();

	sigprocmask(SIG_BLOCK, &set, before);
}

void interrupt_allow(int64_t deadline)
{
	sigset_t set = interrupt_signals();

	/*
	 * The default action kills the process even in an uninterruptible FUSE or network request,
	 * where a handler would never run. The caller may have ignored SIGALRM.
	 */
	signal(SIGALRM, SIG_DFL);
	sigaddset(&set, SIGALRM);
	alarm((unsigned int)deadline_left(deadline) / 1000 + 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void interrupt_disallow(void)
{
	interrupt_block(NULL);
	alarm(0);
}
