/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mtab.h"

#include "config.h"

#include <errno.h>
#include <stddef.h>

#if HAVE_LIBMOUNT

#include "privs.h"
#include "sharedlib.h"

#include <inttypes.h>
#include <libmount.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What belongs to nobody but us in an entry: its ATTRS, which libmount keeps and does not read. */
#define SERVER_ATTRIBUTE "fsvc.server=%d:%" PRIu64
#define SERVER_PATTERN   "fsvc.server=%d:%" SCNu64

/* The functions of libmount.so.1 in use; all are in its first stable ABI, MOUNT_2.19 and 2.21. */
#define LIBMOUNT_FUNCTIONS(FUNCTION)                                                               \
	FUNCTION(mnt_new_fs)                                                                       \
	FUNCTION(mnt_unref_fs)                                                                     \
	FUNCTION(mnt_fs_set_source)                                                                \
	FUNCTION(mnt_fs_set_target)                                                                \
	FUNCTION(mnt_fs_set_fstype)                                                                \
	FUNCTION(mnt_fs_set_options)                                                               \
	FUNCTION(mnt_fs_set_attributes)                                                            \
	FUNCTION(mnt_fs_get_attributes)                                                            \
	FUNCTION(mnt_new_table)                                                                    \
	FUNCTION(mnt_unref_table)                                                                  \
	FUNCTION(mnt_table_parse_mtab)                                                             \
	FUNCTION(mnt_table_find_target)                                                            \
	FUNCTION(mnt_new_update)                                                                   \
	FUNCTION(mnt_free_update)                                                                  \
	FUNCTION(mnt_update_set_fs)                                                                \
	FUNCTION(mnt_update_table)

struct libmount {
	void *library;
	LIBMOUNT_FUNCTIONS(SHAREDLIB_MEMBER)
};

static void unload(struct libmount *lib)
{
	if (lib->library)
		dlclose(lib->library);
}

static int load(struct libmount *lib)
{
	if (sharedlib_load(&lib->library, "libmount.so.1") < 0)
		return -ENOSYS;
	LIBMOUNT_FUNCTIONS(SHAREDLIB_LOOK_UP)
	return 0;
}

/* One change: an entry to add, or, with the target alone, one to take away. */
struct change {
	const struct mtab_entry *entry;
	bool remove;
};

static int describe(struct libmount *lib, struct libmnt_fs *fs, const struct mtab_entry *entry)
{
	char server[64];
	int error = lib->mnt_fs_set_source(fs, entry->source);

	if (!error)
		error = lib->mnt_fs_set_target(fs, entry->target);
	if (!error)
		error = lib->mnt_fs_set_fstype(fs, entry->type);
	if (!error && entry->options)
		error = lib->mnt_fs_set_options(fs, entry->options);
	if (!error && entry->server.pid > 0) {
		snprintf(server, sizeof(server), SERVER_ATTRIBUTE, entry->server.pid,
			 entry->server.start);
		error = lib->mnt_fs_set_attributes(fs, server);
	}
	return error;
}

/* Adds FS to the table, or, where it is NULL, takes the entry of TARGET away. */
static int update(struct libmount *lib, const char *target, struct libmnt_fs *fs)
{
	struct libmnt_update *update = lib->mnt_new_update();
	int error;

	if (!update)
		return -ENOMEM;
	/* 1: libmount sees nothing to record */
	error = lib->mnt_update_set_fs(update, 0, target, fs);
	if (error == 0)
		error = lib->mnt_update_table(update, NULL);
	lib->mnt_free_update(update);
	return error > 0 ? 0 : error;
}

static int apply(void *argument)
{
	__attribute__((cleanup(unload))) struct libmount lib = { 0 };
	const struct change *change = argument;
	struct libmnt_fs *fs;
	int error = load(&lib);

	if (error < 0)
		return error;
	if (change->remove)
		return update(&lib, change->entry->target, NULL);
	fs = lib.mnt_new_fs();
	if (!fs)
		return -ENOMEM;
	error = describe(&lib, fs, change->entry);
	if (!error)
		error = update(&lib, NULL, fs);
	lib.mnt_unref_fs(fs);
	return error;
}

int mtab_add(const struct mtab_entry *entry)
{
	if (!entry->options && entry->server.pid == 0)
		return 0;
	return privs_as_root(apply, &(struct change){ .entry = entry });
}

void mtab_remove(const char *target)
{
	struct mtab_entry entry = { .target = target };

	privs_as_root(apply, &(struct change){ .entry = &entry, .remove = true });
}

int mtab_find_server(const char *target, struct process *server)
{
	__attribute__((cleanup(unload))) struct libmount lib = { 0 };
	struct libmnt_table *table;
	struct libmnt_fs *fs;
	const char *attributes = NULL;
	int error = load(&lib);

	*server = (struct process){ 0 };
	if (error < 0)
		return error;
	table = lib.mnt_new_table();
	if (!table)
		return -ENOMEM;
	error = lib.mnt_table_parse_mtab(table, NULL);
	/* Backward: what is on top of others is mounted last. */
	fs = error == 0 ? lib.mnt_table_find_target(table, target, MNT_ITER_BACKWARD) : NULL;
	if (fs)
		attributes = lib.mnt_fs_get_attributes(fs);
	if (error == 0 &&
	    (!attributes || sscanf(attributes, SERVER_PATTERN, &server->pid, &server->start) != 2))
		error = -ENOENT;
	lib.mnt_unref_table(table);
	return error;
}

#else

int mtab_add(const struct mtab_entry *entry)
{
	return entry->options ? -ENOSYS : 0;
}

void mtab_remove(const char *target)
{
	(void)target;
}

int mtab_find_server(const char *target, struct process *server)
{
	(void)target;
	*server = (struct process){ 0 };
	return -ENOSYS;
}

#endif
