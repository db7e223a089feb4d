/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/mount_args.h"

#include "base/cleanup.h"

#include <limits.h>
#include <string.h>

static const char *without_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

const char *mount_args_subtype(const char *type)
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

static int set_type(struct mount_args *args, const char *type)
{
	if (args->type)
		return -EINVAL;
	args->type = type;
	args->subtype = mount_args_subtype(type);
	args->fuseblk |= without_prefix(type, "fuseblk.") != NULL;
	return 0;
}

/* A word of its own: the source, then the mountpoint. */
static int set_place(struct mount_args *args, const char *word)
{
	if (!args->source)
		args->source = word;
	else if (!args->mountpoint)
		args->mountpoint = word;
	else
		return -EINVAL;
	return 0;
}

/* Each list on its own: a backslash at the end of one must not take in the next. */
static int add_options(struct mount_args *args, const char *list)
{
	int error = options_parse(list, &args->options);

	for (const char *cursor = list; error >= 0;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more <= 0)
			return more;
		error = options_add(&args->option_list, option);
	}
	return error;
}

/* An option that stands alone; what is unknown here is the server's. */
static int set_switch(struct mount_args *args, const char *word, size_t *others)
{
	if (strcmp(word, "-r") == 0)
		return add_options(args, "ro");
	if (strcmp(word, "-w") == 0)
		return add_options(args, "rw");
	if (strcmp(word, "-n") == 0)
		args->no_utab = true;
	else
		args->server_args[(*others)++] = word;
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
static int set_option(struct mount_args *args, int argc, const char *const *argv, int *at,
		      size_t *others)
{
	char letter = argv[*at][1];
	const char *value;

	if (letter != 't' && letter != 'o')
		return set_switch(args, argv[*at], others);
	value = value_of(argc, argv, at);
	if (!value)
		return -EINVAL;
	return letter == 't' ? set_type(args, value) : add_options(args, value);
}

int mount_args_parse(int argc, const char *const *argv, struct mount_args *args,
		     const char **wrongp)
{
	size_t others = 0;
	bool only_places = false;

	*args = (struct mount_args){ 0 };
	args->server_args = calloc((size_t)argc + 1, sizeof(char *));
	args->argv = calloc((size_t)argc + 1, sizeof(char *));
	if (!args->server_args || !args->argv)
		return -ENOMEM;

	args->argv[args->argc++] = argv[0];
	for (int i = 1; i < argc; i++) {
		int first = i, error = 0;

		*wrongp = argv[i];
		if (only_places || argv[i][0] != '-' || argv[i][1] == '\0')
			error = set_place(args, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_places = true;
		else
			error = set_option(args, argc, argv, &i, &others);
		if (error < 0)
			return error;
		/* The type chose the service, which knows it as its argv[0]. */
		if (argv[first][0] == '-' && argv[first][1] == 't' && !only_places)
			continue;
		while (first <= i)
			args->argv[args->argc++] = argv[first++];
	}
	*wrongp = NULL;
	args->fuseblk |= args->options.blkdev;
	return 0;
}

void mount_args_free(struct mount_args *args)
{
	free(args->option_list);
	free(args->server_args);
	free(args->argv);
	options_free(&args->options);
	*args = (struct mount_args){ 0 };
}
