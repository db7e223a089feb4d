/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/policy.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/fdpath.h"
#include "base/new_mount_api.h"
#include "base/open_flags.h"
#include "base/privs.h"
#include "config.h"
#include "mount/mountinfo.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

/* The kernel's O_LARGEFILE: C libraries define it as 0 where every file is large. */
#define LARGEFILE (O_LARGEFILE ? O_LARGEFILE : 0100000)

/* What changes how an existing file is read and written, and nothing else. */
#define ALLOWED_OPEN_FLAGS                                                                         \
	((uint32_t)(OPEN_FLAGS_ACCESS | O_EXCL | O_CLOEXEC | O_SYNC | O_DSYNC | O_DIRECT |         \
		    O_NOATIME | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_APPEND | LARGEFILE))

/* No remount, bind, move or propagation: these act on other mounts. */
#define ALLOWED_MOUNT_FLAGS                                                                        \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOATIME | \
	 MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | MS_LAZYTIME | MS_NOSYMFOLLOW | MS_SILENT)

#define ACCESS_TIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

/* libmount's releases do not agree on these: behind one there may be another option for it. */
#define MEANT_OTHERWISE ",\"\\"

static int refuse(const char **why, const char *reason, int error)
{
	*why = reason;
	return error;
}

void policy_free(struct policy *policy)
{
	for (size_t i = 0; i < policy->grant_count; i++)
		free(policy->grants[i].path);
	free(policy->grants);
	policy->grants = NULL;
	policy->grant_count = 0;
}

/* What is stored at an index that gcc's analyzer does not know, it takes for lost. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static int add_grant(struct policy *policy, const char *path, bool write)
{
	struct policy_grant *grants =
		reallocarray(policy->grants, policy->grant_count + 1, sizeof(*grants));

	if (!grants)
		return -ENOMEM;
	policy->grants = grants;
	grants[policy->grant_count] = (struct policy_grant){ strdup(path), write };
	return grants[policy->grant_count++].path ? 0 : -ENOMEM;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

int policy_read_grants(struct policy *policy, FILE *file, const char *name)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	for (int number = 1; getline(&line, &room, file) >= 0; number++) {
		char *word = line + strspn(line, " \t"), *path;
		size_t length = strcspn(word, "#\n");
		bool write;
		int error;

		while (length > 0 && isspace((unsigned char)word[length - 1]))
			length--;
		word[length] = '\0';
		if (length == 0)
			continue;
		path = word + strcspn(word, " \t");
		if (*path)
			*path++ = '\0';
		path += strspn(path, " \t");
		write = strcmp(word, "write") == 0;
		if ((!write && strcmp(word, "read") != 0) || *path != '/') {
			diag_warning("%s:%d: not understood: %s %s", name, number, word, path);
			continue;
		}
		error = add_grant(policy, path, write);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Reads the administrator's file for the subtype, if it is an administrator's. */
static int load_grants(struct policy *policy, const char *subtype)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_file_ FILE *file = NULL;
	struct stat status;

	if (asprintf(&name, "%s/%s.conf", POLICY_DIR, subtype) < 0)
		return -ENOMEM;
	file = fopen(name, "re");
	if (!file) {
		if (errno != ENOENT)
			diag_warning("%s: %s", name, strerror(errno));
		return 0;
	}
	if (fstat(fileno(file), &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != 0 ||
	    (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		diag_warning("%s: ignored: others than root may write it", name);
		return 0;
	}
	return policy_read_grants(policy, file, name);
}

int policy_load(struct policy *policy, const struct mount_args *args)
{
	*policy = (struct policy){ .args = args, .root = privs_caller_is_root() };
	if (!policy->root)
		fuse_conf_load(&policy->conf);
	return load_grants(policy, args->subtype);
}

bool policy_read_only(const struct policy *policy)
{
	return policy->args->options.flags & MS_RDONLY;
}

bool policy_allows_other(const struct policy *policy)
{
	return policy->root || policy->conf.user_allow_other;
}

/* Whether an option of the command line has this value, and it may be a file's name. */
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

/* Whether the command line names the file for no other end. */
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

/* Spelled exactly as the caller spelled it: other spellings can come to mean other files. */
static bool is_named(const struct policy *policy, const char *path, bool write)
{
	for (size_t i = 0; i < policy->grant_count; i++)
		if (strcmp(policy->grants[i].path, path) == 0 &&
		    (policy->grants[i].write || !write))
			return true;
	return strcmp(policy->args->source, path) == 0 || is_option_value(policy->args, path) ||
	       is_extra_file(policy->args, path);
}

int policy_open(const struct policy *policy, const char *path, uint32_t flags, const char **why)
{
	bool write = open_flags_write(flags);

	if (*path == '\0' || !is_named(policy, path, write))
		return refuse(why, "which the command line does not name", -EACCES);
	if ((flags & ~ALLOWED_OPEN_FLAGS) != 0)
		return refuse(why, "with flags that no service may use", -EPERM);
	if ((flags & OPEN_FLAGS_ACCESS) == OPEN_FLAGS_ACCESS)
		return refuse(why, "neither for reading nor for writing", -EINVAL);
	if (write && policy_read_only(policy))
		return refuse(why, "for writing, although the mount is read-only", -EROFS);
	return 0;
}

int policy_source(const struct policy *policy, const char *source, const char **why)
{
	const char *fsname = policy->args->options.fsname;

	if (strcmp(source, policy->args->source) != 0 && (!fsname || strcmp(source, fsname) != 0) &&
	    strcmp(source, policy->args->subtype) != 0)
		return refuse(why, "which the command line does not name", -EPERM);
	return 0;
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 11 && text[digits] == '\0';
}

static int check_kernel_option(const struct policy *policy, const char *option, bool fuseblk,
			       const char **why)
{
	const struct option_rule *rule = option_find_rule(option);
	const char *value = option_value(option);

	if (rule->class == OPTION_LABEL && policy->root &&
	    options_contain(policy->args->option_list, option))
		return 0;
	if (rule->class == OPTION_LABEL || rule->class == OPTION_PRIVATE)
		return refuse(why, "which is not a service's to set", -EPERM);
	if (rule->class != OPTION_KERNEL)
		return refuse(why, "which the kernel does not know", -EINVAL);
	if (value && !is_number(value))
		return refuse(why, "which is not a number", -EINVAL);
	if (strncmp(option, "blksize=", strlen("blksize=")) == 0 && !fuseblk)
		return refuse(why, "which only fuseblk knows", -EINVAL);
	/* A user who may show files to others must also have said so; root's word is the right. */
	if (strcmp(option, "allow_other") == 0 &&
	    !(policy_allows_other(policy) &&
	      (policy->root || options_contain(policy->args->option_list, option) ||
	       options_contain(policy->args->option_list, "allow_root"))))
		return refuse(why, "which the caller does not allow", -EPERM);
	return 0;
}

int policy_kernel_options(const struct policy *policy, const char *options, bool fuseblk,
			  char **cleanp, const char **why)
{
	_cleanup_free_ char *clean = NULL;

	for (const char *cursor = options;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option), error;

		if (more < 0)
			return refuse(why, "for which there is no memory", more);
		if (more == 0)
			break;
		error = check_kernel_option(policy, option, fuseblk, why);
		if (error < 0)
			return error;
		if (options_add_unescaped(&clean, option) < 0)
			return refuse(why, "for which there is no memory", -ENOMEM);
		/* Without it, every user could act on files that the server's modes keep from them.
		 */
		if (strcmp(option, "allow_other") == 0 &&
		    options_add_unescaped(&clean, "default_permissions") < 0)
			return refuse(why, "for which there is no memory", -ENOMEM);
	}
	*cleanp = take_pointer(clean);
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
 * Whether it belongs into the table and the caller may say it. Which program umount(8) runs, it
 * runs for root as well: what users need there, the helper adds.
 */
static bool is_table_option(const struct policy *policy, const char *option)
{
	static const char *const names[] = { "user=", "uhelper=", "helper=" };

	for (size_t i = 0; !policy->root && i < ARRAY_SIZE(names); i++)
		if (strncmp(option, names[i], strlen(names[i])) == 0)
			return false;
	return !strpbrk(option, MEANT_OTHERWISE) &&
	       option_find_rule(option)->class == OPTION_TABLE &&
	       options_contain(policy->args->option_list, option);
}

int policy_table_options(const struct policy *policy, const char *options, char **keptp,
			 const char **why)
{
	_cleanup_free_ char *kept = NULL;

	if (has_control_character(options))
		return refuse(why, "which has a control character", -EINVAL);
	for (const char *cursor = options;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more < 0)
			return refuse(why, "for which there is no memory", more);
		if (more == 0)
			break;
		/* The table is for all to read: what else belongs to an image is nobody's business.
		 */
		if (is_table_option(policy, option) && options_add(&kept, option) < 0)
			return refuse(why, "for which there is no memory", -ENOMEM);
	}
	*keptp = take_pointer(kept);
	return 0;
}

int policy_mount_flags(const struct policy *policy, uint32_t asked, unsigned long *flagsp,
		       const char **why)
{
	const struct options *caller = &policy->args->options;
	unsigned long guarded = MS_NOSUID | MS_NODEV, freed = 0;

	if ((asked & ~(uint32_t)ALLOWED_MOUNT_FLAGS) != 0)
		return refuse(why, "which act on other mounts than this one", -EPERM);
	if (policy->root)
		freed = guarded & caller->flag_mask & ~caller->flags;
	/* There is one setting of access times: the caller's, if there is one. */
	if (caller->flag_mask & ACCESS_TIME_FLAGS)
		asked &= ~(uint32_t)ACCESS_TIME_FLAGS;
	*flagsp = asked | caller->flags | (guarded & ~freed);
	return 0;
}

/*
 * Filesystems that hold files, and so mountpoints. Elsewhere (/proc, /sys) a mount hides the truth.
 * By number, since not all headers know all names.
 */
static bool holds_files(int fd)
{
	static const struct {
		const char *name;
		unsigned long type;
	} known[] = {
		{ "bcachefs", 0xca451a4e }, { "btrfs", 0x9123683e },    { "ceph", 0x00c36400 },
		{ "cifs", 0xff534d42 },     { "ecryptfs", 0xf15f },     { "erofs", 0xe0f5e1e2 },
		{ "exfat", 0x2011bab0 },    { "ext4", 0xef53 },         { "f2fs", 0xf2f52010 },
		{ "fuse", 0x65735546 },     { "hfsplus", 0x482b },      { "isofs", 0x9660 },
		{ "jffs2", 0x72b6 },        { "jfs", 0x3153464a },      { "nfs", 0x6969 },
		{ "nilfs2", 0x3434 },       { "ntfs", 0x5346544e },     { "ntfs3", 0x7366746e },
		{ "overlay", 0x794c7630 },  { "ramfs", 0x858458f6 },    { "reiserfs", 0x52654973 },
		{ "smb2", 0xfe534d42 },     { "squashfs", 0x73717368 }, { "tmpfs", 0x01021994 },
		{ "ubifs", 0x24051905 },    { "udf", 0x15013346 },      { "v9fs", 0x01021997 },
		{ "vfat", 0x4d44 },         { "xfs", 0x58465342 },      { "zfs", 0x2fc12fc1 },
	};
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		/* Some architectures extend the sign of 32 bits. */
		if ((uint32_t)status.f_type == known[i].type)
			return true;
	return false;
}

int policy_mount_count(const struct policy *policy, const char **why)
{
	int many = policy->root || policy->conf.mount_max < 0
			   ? 0
			   : mountinfo_reaches_fuse_limit(policy->conf.mount_max);

	if (many < 0)
		return refuse(why, "but the mounts that there are cannot be counted", -EPERM);
	if (many)
		return refuse(why, "but mount_max in " FUSE_CONF_PATH " allows no more mounts",
			      -EPERM);
	return 0;
}

static int check_users_mountpoint(const struct policy *policy, int fd, const struct stat *status,
				  const char **why)
{
	if ((status->st_mode & S_ISVTX) && status->st_uid != getuid())
		return refuse(why, "which is another user's sticky directory", -EPERM);
	/* The name leads to the descriptor's file whatever has become of the mountpoint's own name.
	 */
	if (access(fd_path(fd).text, W_OK) < 0)
		return refuse(why, "which the caller may not write", -errno);
	if (!holds_files(fd))
		return refuse(why, "which is on a filesystem that users may not mount on", -EPERM);
	return policy_mount_count(policy, why);
}

int policy_mountpoint(const struct policy *policy, int fd, const char **why)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return refuse(why, "which cannot be examined", -errno);
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
		return refuse(why, "which is neither a directory nor a regular file", -EACCES);
	return policy->root ? 0 : check_users_mountpoint(policy, fd, &status, why);
}
