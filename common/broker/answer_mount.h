/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers to the server's mount(2) and umount2(2). The arguments are those of emulated_syscalls.h.
 */
#pragma once

#include "broker/broker.h"

/*
 * Answer mount(2) on the server's mountpoint: request the mount from the helper, once. DETAIL: the
 * MS_* flags. A mount(2) on any other path is left to the kernel, which denies it.
 */
void answer_mount(struct broker *broker, const struct notification *notification, const char *path,
		  uint64_t detail);

/*
 * Answer umount2(2) of the server's mountpoint: do nothing and return 0, because only the caller of
 * the helper unmounts. DETAIL is not used.
 */
void answer_unmount(struct broker *broker, const struct notification *notification,
		    const char *path, uint64_t detail);
