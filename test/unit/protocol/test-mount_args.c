/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "protocol/mount_args.h"

#include <errno.h>
#include <linux/mount.h>

/* Parses the words given, of which the first is argv[0]. */
#define PARSE(line, wrong, ...)                                                                    \
	mount_args_parse((int)COUNT(((const char *const[]){ __VA_ARGS__ })),                       \
			 (const char *const[]){ __VA_ARGS__ }, line, wrong)

static void source_mountpoint_type_and_options_are_found_anywhere(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "-o", "ro,a=b", "disk.img", "-tfuse.ext4",
			       "/mnt", "-onoexec", "-n", "-d"),
			 0);
	assert_string_equal(args.source, "disk.img");
	assert_string_equal(args.mountpoint, "/mnt");
	assert_string_equal(args.type, "fuse.ext4");
	assert_string_equal(args.subtype, "ext4");
	assert_string_equal(args.option_list, "ro,a=b,noexec");
	assert_int_equal(args.options.flags, MS_RDONLY | MS_NOEXEC);
	assert_true(args.no_utab);
	assert_string_equal(args.server_args[0], "-d");
	assert_null(args.server_args[1]);
	assert_false(args.fuseblk);
}

static void the_server_gets_the_line_without_the_type(void **state)
{
	static const char *const wanted[] = { "x", "-o", "ro", "s", "m", "-oa", "-d" };
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "-o", "ro", "s", "-t", "t", "m", "-oa", "-d"),
			 0);
	assert_int_equal(args.argc, COUNT(wanted));
	for (int i = 0; i < args.argc; i++)
		assert_string_equal(args.argv[i], wanted[i]);
	assert_null(args.argv[args.argc]);
}

static void behind_two_dashes_there_are_no_options(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "-tt", "--", "-o", "-tz"), 0);
	assert_string_equal(args.source, "-o");
	assert_string_equal(args.mountpoint, "-tz");
	assert_int_equal(args.argc, 4);
}

static void what_cannot_be_read_is_named(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "third"), -EINVAL);
	assert_string_equal(wrong, "third");
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-o"), -EINVAL);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "-t"), -EINVAL);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "-t", "a", "-t", "b"), -EINVAL);
}

static void r_and_w_are_ro_and_rw(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-r"), 0);
	assert_int_equal(args.options.flags, MS_RDONLY);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-o", "ro", "-w"), 0);
	assert_int_equal(args.options.flags, 0);
}

static void a_type_names_a_service_or_none(void **state)
{
	(void)state;
	assert_string_equal(mount_args_subtype("ext4"), "ext4");
	assert_string_equal(mount_args_subtype("fuse.a.b"), "a.b");
	assert_string_equal(mount_args_subtype("fuseblk.ntfs"), "ntfs");
	assert_string_equal(mount_args_subtype("fuse.fuse.x"), "fuse.x");
	assert_null(mount_args_subtype(""));
	assert_null(mount_args_subtype("fuse."));
	assert_null(mount_args_subtype("fuse.."));
	assert_null(mount_args_subtype("fuse..."));
	assert_null(mount_args_subtype("."));
	assert_null(mount_args_subtype("../x"));
	assert_null(mount_args_subtype("a/b"));
}

static void fuseblk_is_asked_for_by_type_or_option(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-t", "fuseblk.x"), 0);
	assert_true(args.fuseblk);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-t", "x", "-o", "blkdev"), 0);
	assert_true(args.fuseblk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_mountpoint_type_and_options_are_found_anywhere),
		cmocka_unit_test(the_server_gets_the_line_without_the_type),
		cmocka_unit_test(behind_two_dashes_there_are_no_options),
		cmocka_unit_test(what_cannot_be_read_is_named),
		cmocka_unit_test(r_and_w_are_ro_and_rw),
		cmocka_unit_test(a_type_names_a_service_or_none),
		cmocka_unit_test(fuseblk_is_asked_for_by_type_or_option),
	};

	return cmocka_run_group_tests_name("mountline", tests, NULL, NULL);
}
