/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/strv.h"

#include "base/cleanup.h"

#include <string.h>

/* gcc's analyzer reports a leak of a pointer that is stored at an unknown index. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
void strv_add(struct strv *strv, const char *string)
{
	size_t used = strv->count + 1; /* including the NULL */
	char **argv = strv->argv;

	if (strv->failed)
		return;
	/*
	 * The allocation doubles, so that appending 100,000 arguments, which a caller may pass,
	 * takes linear time.
	 */
	if (!argv || (used & (used - 1)) == 0)
		argv = reallocarray(strv->argv, 2 * used, sizeof(char *));
	if (!argv) {
		strv->failed = true;
		return;
	}
	strv->argv = argv;
	argv[strv->count] = strdup(string);
	argv[strv->count + 1] = NULL;
	if (argv[strv->count])
		strv->count++;
	else
		strv->failed = true;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

void strv_add_all(struct strv *strv, const char *const *argv)
{
	for (; *argv; argv++)
		strv_add(strv, *argv);
}

/* Return the expansion whose name is a prefix of TEXT, or NULL. */
static struct strv_expansion *find_expansion(const char *text, struct strv_expansion *expansions)
{
	for (; expansions->name; expansions++)
		if (strncmp(text, expansions->name, strlen(expansions->name)) == 0)
			return expansions;
	return NULL;
}

void strv_add_expanded(struct strv *strv, const char *string, struct strv_expansion *expansions)
{
	_cleanup_free_ char *expanded = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&expanded, &size);

	while (out && *string) {
		struct strv_expansion *found = find_expansion(string, expansions);

		fputs(found ? found->value : (const char[]){ *string, '\0' }, out);
		string += found ? strlen(found->name) : 1;
		if (found)
			found->used = true;
	}
	if (out && fclose(out) == 0)
		strv_add(strv, expanded);
	else
		strv->failed = true;
}

bool strv_contains(const struct strv *strv, const char *string)
{
	for (size_t i = 0; i < strv->count; i++)
		if (strcmp(strv->argv[i], string) == 0)
			return true;
	return false;
}

char *strv_join(const struct strv *strv, char separator)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < strv->count; i++)
		fprintf(out, "%.*s%s", i > 0, &separator, strv->argv[i]);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

void strv_free(struct strv *strv)
{
	for (size_t i = 0; i < strv->count; i++)
		free(strv->argv[i]);
	free(strv->argv);
	*strv = (struct strv){ 0 };
}
