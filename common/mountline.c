/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mountline.h"

#include "cleanup.h"

#include <limits.h>
#include <string.h>

static const char *without_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

const char *mountline_subtype(const char *type)
{
	const char *subtype = without_prefix(type, "fuse.");

	if (!subtype)
		subtype = without_prefix(type, "fuseblk.");
	if (!subtype)
		subtype = type;
	if (*subtype == '\0' || strlen(subtype) > NAME_MAX || strchr(subtype, '/') ||
	    strcmp(subtype, ".") == 0 || strcmp(subtype, "..") == 0)
		return NULL;
	return subtype;
}

static int set_type(struct mountline *line, const char *type)
{
	if (line->type)
		return -EINVAL;
	line->type = type;
	line->subtype = mountline_subtype(type);
	line->fuseblk |= without_prefix(type, "fuseblk.") != NULL;
	return 0;
}

/* A word of its own: the source, then the mountpoint. */
static int set_place(struct mountline *line, const char *word)
{
	if (!line->source)
		line->source = word;
	else if (!line->mountpoint)
		line->mountpoint = word;
	else
		return -EINVAL;
	return 0;
}

/* Each list on its own: a backslash at the end of one must not take in the next. */
static int add_options(struct mountline *line, const char *list)
{
	int error = options_sort(list, &line->options);

	for (const char *cursor = list; error >= 0;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more <= 0)
			return more;
		error = options_add(&line->list, option);
	}
	return error;
}

/* An option that stands alone; what is unknown here is the server's. */
static int set_switch(struct mountline *line, const char *word, size_t *others)
{
	if (strcmp(word, "-r") == 0)
		return add_options(line, "ro");
	if (strcmp(word, "-w") == 0)
		return add_options(line, "rw");
	if (strcmp(word, "-n") == 0)
		line->no_table = true;
	else
		line->others[(*others)++] = word;
	return 0;
}

/* The value of the option argv[*AT]: behind its letter, or else the next word, to which *AT moves.
 */
static const char *value_of(int argc, const char *const *argv, int *at)
{
	if (argv[*at][2] != '\0')
		return argv[*at] + 2;
	return *at + 1 < argc ? argv[++*at] : NULL;
}

/* Reads the option argv[*AT]; *AT moves to its last word. */
static int set_option(struct mountline *line, int argc, const char *const *argv, int *at,
		      size_t *others)
{
	char letter = argv[*at][1];
	const char *value;

	if (letter != 't' && letter != 'o')
		return set_switch(line, argv[*at], others);
	value = value_of(argc, argv, at);
	if (!value)
		return -EINVAL;
	return letter == 't' ? set_type(line, value) : add_options(line, value);
}

int mountline_parse(int argc, const char *const *argv, struct mountline *line, const char **wrongp)
{
	size_t others = 0;
	bool only_places = false;

	*line = (struct mountline){ 0 };
	line->others = calloc((size_t)argc + 1, sizeof(char *));
	line->argv = calloc((size_t)argc + 1, sizeof(char *));
	if (!line->others || !line->argv)
		return -ENOMEM;

	line->argv[line->argc++] = argv[0];
	for (int i = 1; i < argc; i++) {
		int first = i, error = 0;

		*wrongp = argv[i];
		if (only_places || argv[i][0] != '-' || argv[i][1] == '\0')
			error = set_place(line, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_places = true;
		else
			error = set_option(line, argc, argv, &i, &others);
		if (error < 0)
			return error;
		/* The type chose the service, which knows it as its argv[0]. */
		if (argv[first][0] == '-' && argv[first][1] == 't' && !only_places)
			continue;
		while (first <= i)
			line->argv[line->argc++] = argv[first++];
	}
	*wrongp = NULL;
	line->fuseblk |= line->options.blkdev;
	return 0;
}

void mountline_free(struct mountline *line)
{
	free(line->list);
	free(line->others);
	free(line->argv);
	options_free(&line->options);
	*line = (struct mountline){ 0 };
}
