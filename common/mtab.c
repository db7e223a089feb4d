/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mtab.h"

#include "config.h"

#include <errno.h>
#include <stddef.h>

#if HAVE_LIBMOUNT

#include "sharedlib.h"

#include <libmount.h>

/* The functions of libmount.so.1 in use; all are in its first stable ABI, MOUNT_2.19 and 2.21. */
#define LIBMOUNT_FUNCTIONS(FUNCTION)                                                               \
	FUNCTION(mnt_new_fs)                                                                       \
	FUNCTION(mnt_unref_fs)                                                                     \
	FUNCTION(mnt_fs_set_source)                                                                \
	FUNCTION(mnt_fs_set_target)                                                                \
	FUNCTION(mnt_fs_set_fstype)                                                                \
	FUNCTION(mnt_fs_set_options)                                                               \
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

static int describe(struct libmount *lib, struct libmnt_fs *fs, const struct mtab_entry *entry)
{
	int error = lib->mnt_fs_set_source(fs, entry->source);

	if (!error)
		error = lib->mnt_fs_set_target(fs, entry->target);
	if (!error)
		error = lib->mnt_fs_set_fstype(fs, entry->type);
	if (!error)
		error = lib->mnt_fs_set_options(fs, entry->options);
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

int mtab_add(const struct mtab_entry *entry)
{
	__attribute__((cleanup(unload))) struct libmount lib = { 0 };
	struct libmnt_fs *fs;
	int error;

	if (!entry->options)
		return 0;
	error = load(&lib);
	if (error < 0)
		return error;
	fs = lib.mnt_new_fs();
	if (!fs)
		return -ENOMEM;
	error = describe(&lib, fs, entry);
	if (!error)
		error = update(&lib, NULL, fs);
	lib.mnt_unref_fs(fs);
	return error;
}

void mtab_remove(const struct mtab_entry *entry)
{
	__attribute__((cleanup(unload))) struct libmount lib = { 0 };

	if (entry->options && load(&lib) == 0)
		update(&lib, entry->target, NULL);
}

#else

int mtab_add(const struct mtab_entry *entry)
{
	return entry->options ? -ENOSYS : 0;
}

void mtab_remove(const struct mtab_entry *entry)
{
	(void)entry;
}

#endif
