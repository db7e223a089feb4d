/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/request_policy.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_mount_api.h"
#include "base/open_flags.h"

#include <fcntl.h>
#include <string.h>

/* The kernel's O_LARGEFILE: C libraries with 64-bit file offsets define it as 0. */
#define LARGEFILE (O_LARGEFILE ? O_LARGEFILE : 0100000)

/* Flags that only change how an existing file is read and written. */
#define ALLOWED_OPEN_FLAGS                                                                         \
	((uint32_t)(OPEN_FLAGS_ACCESS | O_EXCL | O_CLOEXEC | O_SYNC | O_DSYNC | O_DIRECT |         \
		    O_NOATIME | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_APPEND | LARGEFILE))

/* Flags of this mount. Remount, bind, move and propagation act on other mounts. */
#define ALLOWED_MOUNT_FLAGS                                                                        \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOATIME | \
	 MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | MS_LAZYTIME | MS_NOSYMFOLLOW | MS_SILENT)

#define ACCESS_TIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

/* Versions of libmount parse these differently: such an option could hide another one. */
#define AMBIGUOUS_CHARACTERS ",\"\\"

static int refuse(const char **reason, const char *text, int error)
{
	*reason = text;
	return error;
}

bool request_policy_is_read_only(const struct authority *authority)
{
	return authority->args->options.flags & MS_RDONLY;
}

bool request_policy_may_allow_other(const struct authority *authority)
{
	return authority->is_root || authority->conf.user_allow_other;
}

/* Return true if PATH is the value of an option that can be a file name. */
static bool is_option_value(const struct mount_args *args, const char *path)
{
	for (const char *cursor = args->options.server ? args->options.server : "";;) {
		_cleanup_free_ char *option = NULL;
		const char *value;

		if (options_next(&cursor, &option) <= 0)
			break;
		value = option_value(option);
		if (value && option_find_rule(option)->class == OPTION_SERVER &&
		    strcmp(value, path) == 0)
			return true;
	}
	for (const char **other = args->server_args; *other; other++) {
		const char *value = option_value(*other);

		if (value && strcmp(value, path) == 0)
			return true;
	}
	return false;
}

/* Return true if PATH is the value of an option fsvc.file=. */
static bool is_extra_file(const struct mount_args *args, const char *path)
{
	for (const char *cursor = args->options.helper ? args->options.helper : "";;) {
		_cleanup_free_ char *file = NULL;

		if (options_next_value(&cursor, OPTION_FILE, &file) <= 0)
			return false;
		if (strcmp(file, path) == 0)
			return true;
	}
}

/* Compare the exact spelling: another spelling may lead to another file later. */
static bool is_granted(const struct authority *authority, const char *path, bool write)
{
	return granted_files_contain(&authority->granted, path, write) ||
	       strcmp(authority->args->source, path) == 0 ||
	       is_option_value(authority->args, path) || is_extra_file(authority->args, path);
}

int request_policy_check_open(const struct authority *authority, const char *path, uint32_t flags,
			      const char **reason)
{
	bool write = open_flags_write(flags);

	if (*path == '\0' || !is_granted(authority, path, write))
		return refuse(reason, "not named on the command line", -EACCES);
	if ((flags & ~ALLOWED_OPEN_FLAGS) != 0)
		return refuse(reason, "open flags not allowed for a service", -EPERM);
	if ((flags & OPEN_FLAGS_ACCESS) == OPEN_FLAGS_ACCESS)
		return refuse(reason, "invalid access mode", -EINVAL);
	if (write && request_policy_is_read_only(authority))
		return refuse(reason, "write access to a read-only mount", -EROFS);
	return 0;
}

int request_policy_check_source(const struct authority *authority, const char *source,
				const char **reason)
{
	const char *fsname = authority->args->options.fsname;

	if (strcmp(source, authority->args->source) != 0 &&
	    (!fsname || strcmp(source, fsname) != 0) &&
	    strcmp(source, authority->args->subtype) != 0)
		return refuse(reason, "not named on the command line", -EPERM);
	return 0;
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 11 && text[digits] == '\0';
}

static int check_kernel_option(const struct authority *authority, const char *option, bool fuseblk,
			       const char **reason)
{
	const struct option_rule *rule = option_find_rule(option);
	const char *value = option_value(option);

	if (rule->class == OPTION_LABEL && authority->is_root &&
	    options_contain(authority->args->option_list, option))
		return 0;
	if (rule->class == OPTION_LABEL || rule->class == OPTION_PRIVATE)
		return refuse(reason, "may not be set by a service", -EPERM);
	if (rule->class != OPTION_KERNEL)
		return refuse(reason, "unknown to the kernel", -EINVAL);
	if (value && !is_number(value))
		return refuse(reason, "not a number", -EINVAL);
	if (strncmp(option, "blksize=", strlen("blksize=")) == 0 && !fuseblk)
		return refuse(reason, "only valid for fuseblk", -EINVAL);
	/*
	 * If the caller is not root, /etc/fuse.conf must permit allow_other, and the command line
	 * must contain it or allow_root. If the caller is root, the service may set it.
	 */
	if (strcmp(option, "allow_other") == 0 &&
	    !(request_policy_may_allow_other(authority) &&
	      (authority->is_root || options_contain(authority->args->option_list, option) ||
	       options_contain(authority->args->option_list, "allow_root"))))
		return refuse(reason, "not allowed by the caller", -EPERM);
	return 0;
}

int request_policy_filter_kernel_options(const struct authority *authority, const char *options,
					 bool fuseblk, char **listp, const char **reason)
{
	_cleanup_free_ char *clean = NULL;

	for (const char *cursor = options;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option), error;

		if (more < 0)
			return refuse(reason, "out of memory", more);
		if (more == 0)
			break;
		error = check_kernel_option(authority, option, fuseblk, reason);
		if (error < 0)
			return error;
		if (options_add_unescaped(&clean, option) < 0)
			return refuse(reason, "out of memory", -ENOMEM);
		/*
		 * Without default_permissions the kernel would not check the modes of files, and
		 * every user could access all of them.
		 */
		if (strcmp(option, "allow_other") == 0 &&
		    options_add_unescaped(&clean, "default_permissions") < 0)
			return refuse(reason, "out of memory", -ENOMEM);
	}
	*listp = take_pointer(clean);
	return 0;
}

static bool has_control_character(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/*
 * Return true if OPTION is for the mount table and the caller may set it. umount(8) runs the
 * program named by uhelper=, also for root, so only the helper sets it for the mount of a user.
 */
static bool is_table_option(const struct authority *authority, const char *option)
{
	static const char *const names[] = { "user=", "uhelper=", "helper=" };

	for (size_t i = 0; !authority->is_root && i < ARRAY_SIZE(names); i++)
		if (strncmp(option, names[i], strlen(names[i])) == 0)
			return false;
	return !strpbrk(option, AMBIGUOUS_CHARACTERS) &&
	       option_find_rule(option)->class == OPTION_TABLE &&
	       options_contain(authority->args->option_list, option);
}

int request_policy_filter_table_options(const struct authority *authority, const char *options,
					char **listp, const char **reason)
{
	_cleanup_free_ char *kept = NULL;

	if (has_control_character(options))
		return refuse(reason, "control character in option", -EINVAL);
	for (const char *cursor = options;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more < 0)
			return refuse(reason, "out of memory", more);
		if (more == 0)
			break;
		/* Every user can read the table, so it gets no other options. */
		if (is_table_option(authority, option) && options_add(&kept, option) < 0)
			return refuse(reason, "out of memory", -ENOMEM);
	}
	*listp = take_pointer(kept);
	return 0;
}

int request_policy_choose_mount_flags(const struct authority *authority, uint32_t requested,
				      unsigned long *flagsp, const char **reason)
{
	const struct options *caller = &authority->args->options;
	unsigned long default_flags = MS_NOSUID | MS_NODEV, cleared = 0;

	if ((requested & ~(uint32_t)ALLOWED_MOUNT_FLAGS) != 0)
		return refuse(reason, "flags affect other mounts", -EPERM);
	if (authority->is_root)
		cleared = default_flags & caller->flag_mask & ~caller->flags;
	/* The access time flags exclude each other. Those of the caller take precedence. */
	if (caller->flag_mask & ACCESS_TIME_FLAGS)
		requested &= ~(uint32_t)ACCESS_TIME_FLAGS;
	*flagsp = requested | caller->flags | (default_flags & ~cleared);
	return 0;
}
