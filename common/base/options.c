/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/options.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_mount_api.h"

#include <string.h>

/* clang-format off */
static const struct option_rule rules[] = {
	{ "defaults",            OPTION_FLAG,     0,              false },
	{ "ro",                  OPTION_FLAG,     MS_RDONLY,      false },
	{ "rw",                  OPTION_FLAG,     MS_RDONLY,      true },
	{ "nosuid",              OPTION_FLAG,     MS_NOSUID,      false },
	{ "suid",                OPTION_FLAG,     MS_NOSUID,      true },
	{ "nodev",               OPTION_FLAG,     MS_NODEV,       false },
	{ "dev",                 OPTION_FLAG,     MS_NODEV,       true },
	{ "noexec",              OPTION_FLAG,     MS_NOEXEC,      false },
	{ "exec",                OPTION_FLAG,     MS_NOEXEC,      true },
	{ "sync",                OPTION_FLAG,     MS_SYNCHRONOUS, false },
	{ "async",               OPTION_FLAG,     MS_SYNCHRONOUS, true },
	{ "dirsync",             OPTION_FLAG,     MS_DIRSYNC,     false },
	{ "noatime",             OPTION_FLAG,     MS_NOATIME,     false },
	{ "atime",               OPTION_FLAG,     MS_NOATIME,     true },
	{ "nodiratime",          OPTION_FLAG,     MS_NODIRATIME,  false },
	{ "diratime",            OPTION_FLAG,     MS_NODIRATIME,  true },
	{ "relatime",            OPTION_FLAG,     MS_RELATIME,    false },
	{ "norelatime",          OPTION_FLAG,     MS_RELATIME,    true },
	{ "strictatime",         OPTION_FLAG,     MS_STRICTATIME, false },
	{ "nostrictatime",       OPTION_FLAG,     MS_STRICTATIME, true },
	{ "lazytime",            OPTION_FLAG,     MS_LAZYTIME,    false },
	{ "nolazytime",          OPTION_FLAG,     MS_LAZYTIME,    true },
	{ "nosymfollow",         OPTION_FLAG,     MS_NOSYMFOLLOW, false },
	{ "symfollow",           OPTION_FLAG,     MS_NOSYMFOLLOW, true },
	{ "silent",              OPTION_FLAG,     MS_SILENT,      false },
	{ "loud",                OPTION_FLAG,     MS_SILENT,      true },

	{ "allow_other",         OPTION_KERNEL,   0,              false },
	{ "default_permissions", OPTION_KERNEL,   0,              false },
	{ "max_read=",           OPTION_KERNEL,   0,              false },
	{ "blksize=",            OPTION_KERNEL,   0,              false },

	{ "context=",            OPTION_LABEL,    0,              false },
	{ "fscontext=",          OPTION_LABEL,    0,              false },
	{ "defcontext=",         OPTION_LABEL,    0,              false },
	{ "rootcontext=",        OPTION_LABEL,    0,              false },

	{ "fd=",                 OPTION_PRIVATE,  0,              false },
	{ "rootmode=",           OPTION_PRIVATE,  0,              false },
	{ "user_id=",            OPTION_PRIVATE,  0,              false },
	{ "group_id=",           OPTION_PRIVATE,  0,              false },

	{ "fsname=",             OPTION_FSNAME,   0,              false },
	{ "subtype=",            OPTION_SUBTYPE,  0,              false },
	{ "blkdev",              OPTION_BLKDEV,   0,              false },

	{ "user",                OPTION_TABLE,    0,              false },
	{ "user=",               OPTION_TABLE,    0,              false },
	{ "nouser",              OPTION_TABLE,    0,              false },
	{ "users",               OPTION_TABLE,    0,              false },
	{ "nousers",             OPTION_TABLE,    0,              false },
	{ "owner",               OPTION_TABLE,    0,              false },
	{ "noowner",             OPTION_TABLE,    0,              false },
	{ "group",               OPTION_TABLE,    0,              false },
	{ "nogroup",             OPTION_TABLE,    0,              false },
	{ "auto",                OPTION_TABLE,    0,              false },
	{ "noauto",              OPTION_TABLE,    0,              false },
	{ "nofail",              OPTION_TABLE,    0,              false },
	{ "_netdev",             OPTION_TABLE,    0,              false },
	{ "comment=",            OPTION_TABLE,    0,              false },
	{ "uhelper=",            OPTION_TABLE,    0,              false },
	{ "helper=",             OPTION_TABLE,    0,              false },
	{ "x-*",                 OPTION_TABLE,    0,              false },
	{ "X-*",                 OPTION_TABLE,    0,              false },

	{ "fsvc.*",              OPTION_HELPER,   0,              false },

	{ "allow_root",          OPTION_LIBFUSE,  0,              false },
	{ "auto_unmount",        OPTION_LIBFUSE,  0,              false },
	{ "debug",               OPTION_LIBFUSE,  0,              false },
	{ "clone_fd",            OPTION_LIBFUSE,  0,              false },
	{ "max_idle_threads=",   OPTION_LIBFUSE,  0,              false },
	{ "max_threads=",        OPTION_LIBFUSE,  0,              false },
	{ "umask=",              OPTION_LIBFUSE,  0,              false },
	{ "uid=",                OPTION_LIBFUSE,  0,              false },
	{ "gid=",                OPTION_LIBFUSE,  0,              false },
};
/* clang-format on */

static const struct option_rule unknown = { "", OPTION_SERVER, 0, false };

const struct option_rule *option_find_rule(const char *option)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const char *name = rules[i].name;
		size_t length = strlen(name);
		bool open_ended = name[length - 1] == '=';

		if (name[length - 1] == '*') {
			open_ended = true;
			length--;
		}
		if (strncmp(option, name, length) == 0 && (open_ended || option[length] == '\0'))
			return &rules[i];
	}
	return &unknown;
}

const char *option_value(const char *option)
{
	const char *equals = strchr(option, '=');

	return equals ? equals + 1 : NULL;
}

static bool is_octal(const char *text)
{
	return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' &&
	       text[2] >= '0' && text[2] <= '7';
}

/* Read one character of an option, which may be escaped, and advance *CURSOR. */
static char next_character(const char **cursor)
{
	const char *at = *cursor;

	if (at[0] == '\\' && is_octal(at + 1)) {
		*cursor += 4;
		return (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
	}
	if (at[0] == '\\' && at[1] != '\0') {
		*cursor += 2;
		return at[1];
	}
	*cursor += 1;
	return at[0];
}

int options_next(const char **cursor, char **optionp)
{
	char *option, *out;

	while (**cursor == ',')
		(*cursor)++;
	if (**cursor == '\0')
		return 0;
	option = malloc(strlen(*cursor) + 1);
	if (!option)
		return -ENOMEM;
	out = option;
	while (**cursor != '\0' && **cursor != ',')
		*out++ = next_character(cursor);
	*out = '\0';
	*optionp = option;
	return 1;
}

int options_next_value(const char **cursor, const char *name, char **valuep)
{
	for (;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(cursor, &option);

		if (more <= 0)
			return more;
		if (strncmp(option, name, strlen(name)) != 0)
			continue;
		*valuep = strdup(option + strlen(name));
		return *valuep ? 1 : -ENOMEM;
	}
}

bool options_contain(const char *list, const char *wanted)
{
	for (const char *cursor = list ? list : "";;) {
		_cleanup_free_ char *option = NULL;

		if (options_next(&cursor, &option) <= 0)
			return false;
		if (strcmp(option, wanted) == 0)
			return true;
	}
}

/*
 * Return the allocation size for a list of SIZE bytes. Sizes are powers of 2, so that appending
 * 100,000 options, which a caller may pass, takes linear time.
 */
static size_t allocation_size(size_t size)
{
	size_t allocation = 64;

	while (allocation < size)
		allocation *= 2;
	return allocation;
}

static int append_option(char **listp, const char *option, const char *escaped)
{
	size_t used = *listp ? strlen(*listp) : 0;
	size_t wanted = allocation_size(used + 2 * strlen(option) + 2);
	char *list = *listp;

	if (!list || wanted > allocation_size(used + 1)) {
		list = realloc(*listp, wanted);
		if (!list)
			return -ENOMEM;
		*listp = list;
	}
	if (used > 0)
		list[used++] = ',';
	for (; *option; option++) {
		if (strchr(escaped, *option))
			list[used++] = '\\';
		list[used++] = *option;
	}
	list[used] = '\0';
	return 0;
}

int options_add(char **listp, const char *option)
{
	return append_option(listp, option, ",\\");
}

int options_add_unescaped(char **listp, const char *option)
{
	return append_option(listp, option, "");
}

static int set_value(char **valuep, const char *option)
{
	char *value = strdup(option_value(option));

	if (!value)
		return -ENOMEM;
	free(*valuep);
	*valuep = value;
	return 0;
}

static int parse_option(struct options *options, const char *option)
{
	const struct option_rule *rule = option_find_rule(option);

	/* For allow_root libfuse needs allow_other in the kernel and checks the user itself. */
	if (strcmp(option, "allow_root") == 0 &&
	    options_add_unescaped(&options->kernel, "allow_other") < 0)
		return -ENOMEM;
	switch (rule->class) {
	case OPTION_FLAG:
		options->flag_mask |= rule->flag;
		options->flags =
			rule->clears ? options->flags & ~rule->flag : options->flags | rule->flag;
		return 0;
	case OPTION_KERNEL:
	case OPTION_LABEL:
		return options_add_unescaped(&options->kernel, option);
	case OPTION_FSNAME:
		return set_value(&options->fsname, option);
	case OPTION_SUBTYPE:
		return set_value(&options->subtype, option);
	case OPTION_BLKDEV:
		options->blkdev = true;
		return 0;
	case OPTION_TABLE:
		return options_add(&options->table, option);
	case OPTION_HELPER:
		return options_add(&options->helper, option);
	case OPTION_PRIVATE:
		return 0;
	case OPTION_LIBFUSE:
	case OPTION_SERVER:
		break;
	}
	return options_add(&options->server, option);
}

int options_parse(const char *list, struct options *options)
{
	int more;

	for (const char *cursor = list ? list : "";;) {
		_cleanup_free_ char *option = NULL;

		more = options_next(&cursor, &option);
		if (more <= 0)
			return more;
		more = parse_option(options, option);
		if (more < 0)
			return more;
	}
}

void options_free(struct options *options)
{
	free(options->kernel);
	free(options->table);
	free(options->helper);
	free(options->server);
	free(options->fsname);
	free(options->subtype);
	*options = (struct options){ 0 };
}
