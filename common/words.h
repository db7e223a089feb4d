/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command line that is put together word by word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct words {
	char **argv; /* NULL-terminated, for exec; NULL while there is no word */
	size_t count;
	bool failed; /* there was no memory for one of them */
};

/* What stands in a word for something else. A list of these ends with a name of NULL. */
struct words_expansion {
	const char *name, *value;
	bool used; /* set when the name was found */
};

/* Adds a copy of WORD. */
void words_add(struct words *words, const char *word);

/* Adds copies of all MORE, which ends with NULL. */
void words_add_all(struct words *words, const char *const *more);

/* Adds WORD with each name among EXPANSIONS replaced by its value, wherever in the word it stands.
 */
void words_add_expanded(struct words *words, const char *word, struct words_expansion *expansions);

/* Whether WORD is one of them. */
bool words_have(const struct words *words, const char *word);

/* All of them in one text, with SEPARATOR between, which the caller frees; NULL: no memory. */
char *words_join(const struct words *words, char separator);

void words_free(struct words *words);
