/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/interrupt.h"

#include "base/deadline.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

/* Catching, unlike ignoring, does not outlive an exec(2). */
static void pass_over(int number)
{
	(void)number;
}

int interrupt_open(void)
{
	sigset_t set = signals();
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
	sigset_t set = signals();

	sigprocmask(SIG_BLOCK, &set, before);
}

void interrupt_let_through(int64_t deadline)
{
	sigset_t set = signals();

	/* A caller may have left SIGALRM ignored or blocked. With a handler, and so with a last
	 * word, it would end no wait for a network's filesystem or a FUSE server: only what kills
	 * does. */
	signal(SIGALRM, SIG_DFL);
	sigaddset(&set, SIGALRM);
	alarm((unsigned int)deadline_left(deadline) / 1000 + 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void interrupt_hold(void)
{
	interrupt_block(NULL);
	alarm(0);
}
