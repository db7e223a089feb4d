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

/* Catching, unlike ignoring, does not outlive an exec(2). */
static void pass_over(int number)
{
	(void)number;
}

int interrupt_open(void)
{
	sigset_t set = interrupt_signals();
	int fd;

	/* A message into a pipe that nobody reads must not end what it tells of, and a file that
	 * the caller lets grow no further is an error that can be told. */
	signal(SIGPIPE, pass_over);
	signal(SIGXFSZ, pass_over);
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

	/* A caller may have left SIGALRM ignored or blocked. With a handler, and so with a last
	 * word, it would end no wait for a network's filesystem or a FUSE server: only what kills
	 * does. */
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
