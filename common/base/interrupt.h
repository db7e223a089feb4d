/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGINT, SIGTERM and SIGHUP through a signalfd(2), so that a wait can poll for them. */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* The signals that ask a program to exit, as elements of an array initializer. */
#define INTERRUPT_SIGNALS SIGINT, SIGTERM, SIGHUP

/* Return the set of the COUNT signals in NUMBERS. */
sigset_t interrupt_signal_set(const int *numbers, size_t count);

/*
 * Block the signals in this process and open a signalfd(2) that becomes readable when one arrives.
 * SIGPIPE and SIGXFSZ get an empty handler, so that write(2) fails with EPIPE or EFBIG instead.
 * Return the file descriptor, close-on-exec, owned by the caller; or a negative errno.
 */
int interrupt_open(void);

/*
 * Block the signals in this process and its children. Store the previous signal mask in *BEFORE
 * unless it is NULL.
 */
void interrupt_block(sigset_t *before);

/*
 * Unblock the signals, and SIGALRM, which is sent at DEADLINE. Their default action kills the
 * process. This ends system calls that poll(2) cannot wait for, such as open(2) on an unreachable
 * network filesystem. Call it only while nothing needs to be cleaned up, and call
 * interrupt_disallow() after the system call.
 */
void interrupt_allow(int64_t deadline);

/* Block the signals again and cancel the alarm. */
void interrupt_disallow(void);
