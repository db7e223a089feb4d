/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/strv.h"

#include "base/cleanup.h"

#include <string.h>

/* What is stored at an index that gcc's analyzer does not know, it takes for lost. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
void strv_add(struct strv *words, const char *word)
{
	size_t used = words->count + 1; /* with the NULL */
	char **argv = words->argv;

	if (words->failed)
		return;
	/* Room for a power of two of words: a caller may name 100,000. */
	if (!argv || (used & (used - 1)) == 0)
		argv = reallocarray(words->argv, 2 * used, sizeof(char *));
	if (!argv) {
		words->failed = true;
		return;
	}
	words->argv = argv;
	argv[words->count] = strdup(word);
	argv[words->count + 1] = NULL;
	if (argv[words->count])
		words->count++;
	else
		words->failed = true;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

void strv_add_all(struct strv *words, const char *const *more)
{
	for (; *more; more++)
		strv_add(words, *more);
}

/* The expansion whose name TEXT begins with, or NULL. */
static struct strv_expansion *find(const char *text, struct strv_expansion *expansions)
{
	for (; expansions->name; expansions++)
		if (strncmp(text, expansions->name, strlen(expansions->name)) == 0)
			return expansions;
	return NULL;
}

void strv_add_expanded(struct strv *words, const char *word, struct strv_expansion *expansions)
{
	_cleanup_free_ char *expanded = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&expanded, &size);

	while (out && *word) {
		struct strv_expansion *found = find(word, expansions);

		fputs(found ? found->value : (const char[]){ *word, '\0' }, out);
		word += found ? strlen(found->name) : 1;
		if (found)
			found->used = true;
	}
	if (out && fclose(out) == 0)
		strv_add(words, expanded);
	else
		words->failed = true;
}

bool strv_contains(const struct strv *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++)
		if (strcmp(words->argv[i], word) == 0)
			return true;
	return false;
}

char *strv_join(const struct strv *words, char separator)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < words->count; i++)
		fprintf(out, "%.*s%s", i > 0, &separator, words->argv[i]);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

void strv_free(struct strv *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->argv[i]);
	free(words->argv);
	*words = (struct strv){ 0 };
}
