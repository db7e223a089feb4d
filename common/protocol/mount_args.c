/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/mount_args.h"

#include "base/cleanup.h"

#include <limits.h>
#include <string.h>

static const char *skip_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

const char *mount_args_subtype(const char *type)
{
	const char *subtype = skip_prefix(type, "fuse.");

	if (!subtype)
		subtype = skip_prefix(type, "fuseblk.");
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
		return -EEXIST;
	args->type = type;
	args->subtype = mount_args_subtype(type);
	args->fuseblk |= skip_prefix(type, "fuseblk.") != NULL;
	return 0;
}

/* Store an operand: first the source, then the mountpoint. */
static int set_operand(struct mount_args *args, const char *argument)
{
	if (!args->source)
		args->source = argument;
	else if (!args->mountpoint)
		args->mountpoint = argument;
	else
		return -E2BIG;
	return 0;
}

/* Parse each list separately: a backslash at the end of one must not escape the next. */
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

/* Apply an option without a value, or store an argument for the server. */
static int set_flag_option(struct mount_args *args, const char *argument, size_t *count)
{
	if (strcmp(argument, "-r") == 0)
		return add_options(args, "ro");
	if (strcmp(argument, "-w") == 0)
		return add_options(args, "rw");
	if (strcmp(argument, "-n") == 0)
		args->no_utab = true;
	else
		args->server_args[(*count)++] = argument;
	return 0;
}

/*
 * Return the value of the option argv[*INDEX]: the rest of the argument or the next one, to which
 * *INDEX advances. Return NULL if it is missing.
 */
static const char *get_value(int argc, const char *const *argv, int *index)
{
	if (argv[*index][2] != '\0')
		return argv[*index] + 2;
	return *index + 1 < argc ? argv[++*index] : NULL;
}

/* Apply the option argv[*INDEX] and advance *INDEX to its value. */
static int set_option(struct mount_args *args, int argc, const char *const *argv, int *index,
		      size_t *count)
{
	char letter = argv[*index][1];
	const char *value;

	if (letter != 't' && letter != 'o')
		return set_flag_option(args, argv[*index], count);
	value = get_value(argc, argv, index);
	if (!value)
		return -EINVAL;
	return letter == 't' ? set_type(args, value) : add_options(args, value);
}

int mount_args_parse(int argc, const char *const *argv, struct mount_args *args,
		     const char **invalidp)
{
	size_t server_args_count = 0;
	bool only_operands = false;

	*args = (struct mount_args){ 0 };
	args->server_args = calloc((size_t)argc + 1, sizeof(char *));
	args->argv = calloc((size_t)argc + 1, sizeof(char *));
	if (!args->server_args || !args->argv)
		return -ENOMEM;

	args->argv[args->argc++] = argv[0];
	for (int i = 1; i < argc; i++) {
		int first = i, error = 0;

		*invalidp = argv[i];
		if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0')
			error = set_operand(args, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_operands = true;
		else
			error = set_option(args, argc, argv, &i, &server_args_count);
		if (error < 0)
			return error;
		/* Omit -t: the type has selected the service, which gets it as argv[0]. */
		if (argv[first][0] == '-' && argv[first][1] == 't' && !only_operands)
			continue;
		while (first <= i)
			args->argv[args->argc++] = argv[first++];
	}
	*invalidp = NULL;
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
