/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers to the server's system calls that look up or open a file. The arguments are those of
 * emulated_syscalls.h.
 */
#pragma once

#include "broker/broker.h"

/* Answer open(2) and openat(2). DETAIL: the O_* flags. */
void answer_open(struct broker *broker, const struct notification *notification, const char *path,
		 uint64_t detail);

/* Answer stat(2), lstat(2) and fstatat(2). DETAIL: the address of struct stat. */
void answer_stat(struct broker *broker, const struct notification *notification, const char *path,
		 uint64_t detail);

/* Answer statx(2). DETAIL: the address of struct statx. */
void answer_statx(struct broker *broker, const struct notification *notification, const char *path,
		  uint64_t detail);

/* Answer access(2) and faccessat(2). DETAIL: the mode. */
void answer_access(struct broker *broker, const struct notification *notification, const char *path,
		   uint64_t detail);

/* Answer readlink(2) and readlinkat(2). DETAIL is not used. */
void answer_readlink(struct broker *broker, const struct notification *notification,
		     const char *path, uint64_t detail);
