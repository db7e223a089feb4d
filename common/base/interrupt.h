/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGINT, SIGTERM and SIGHUP as something to poll: no handler, no flag, no race.
 */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* The signals that ask a program to end, as the elements of an array. */
#define INTERRUPT_SIGNALS SIGINT, SIGTERM, SIGHUP

/* Return the set of the COUNT signals in NUMBERS. */
sigset_t interrupt_signal_set(const int *numbers, size_t count);

/*
 * From here on these signals end no system call but wait at the descriptor returned, a signalfd(2)
 * that the caller owns. Returns it, or a negative errno.
 */
int interrupt_open(void);

/* Holds them back, also in children. *BEFORE, or NULL: the signal mask until here. */
void interrupt_block(sigset_t *before);

/*
 * For calls that poll cannot wait for, such as opening a file on a network that is gone: until
 * interrupt_disallow() the signals, and SIGALRM at the DEADLINE of channel.h, kill the process.
 * Only where nothing would be left behind.
 */
void interrupt_allow(int64_t deadline);

void interrupt_disallow(void);
