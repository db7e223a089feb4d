/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Growable argument vector for execve(2). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct strv {
	char **argv; /* NULL-terminated; NULL if empty */
	size_t count;
	bool failed; /* out of memory: the vector is incomplete */
};

/* A placeholder and the text that replaces it. An array of these ends with a NULL name. */
struct strv_expansion {
	const char *name, *value;
	bool used; /* set when the placeholder was found */
};

/* Append a copy of STRING. If out of memory, set STRV->failed. */
void strv_add(struct strv *strv, const char *string);

/* Append copies of all strings in ARGV, which ends with NULL. */
void strv_add_all(struct strv *strv, const char *const *argv);

/* Append STRING with each placeholder in EXPANSIONS replaced by its value. */
void strv_add_expanded(struct strv *strv, const char *string, struct strv_expansion *expansions);

/* Return true if one of the strings equals STRING. */
bool strv_contains(const struct strv *strv, const char *string);

/*
 * Join all strings, separated by SEPARATOR. Return a string that the caller frees, or NULL if out
 * of memory.
 */
char *strv_join(const struct strv *strv, char separator);

void strv_free(struct strv *strv);

#define _cleanup_strv_ __attribute__((cleanup(strv_free)))
