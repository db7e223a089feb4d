/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command line that is put together word by word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct strv {
	char **argv; /* NULL-terminated, for exec; NULL while there is no word */
	size_t count;
	bool failed; /* there was no memory for one of them */
};

/* What stands in a word for something else. A list of these ends with a name of NULL. */
struct strv_expansion {
	const char *name, *value;
	bool used; /* set when the name was found */
};

/* Adds a copy of WORD. */
void strv_add(struct strv *words, const char *word);

/* Adds copies of all MORE, which ends with NULL. */
void strv_add_all(struct strv *words, const char *const *more);

/* Adds WORD with each name among EXPANSIONS replaced by its value, wherever in the word it stands.
 */
void strv_add_expanded(struct strv *words, const char *word, struct strv_expansion *expansions);

/* Whether WORD is one of them. */
bool strv_contains(const struct strv *words, const char *word);

/* All of them in one text, with SEPARATOR between, which the caller frees; NULL: no memory. */
char *strv_join(const struct strv *words, char separator);

void strv_free(struct strv *words);

#define _cleanup_strv_ __attribute__((cleanup(strv_free)))
