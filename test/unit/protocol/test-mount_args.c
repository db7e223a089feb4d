/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "protocol/mount_args.h"

#include <errno.h>
#include <linux/mount.h>

/* Parse the given arguments, beginning with argv[0]. */
#define PARSE(line, wrong, ...)                                                                    \
	mount_args_parse((int)ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })),                  \
			 (const char *const[]){ __VA_ARGS__ }, line, wrong)

static void test_arguments_may_come_in_any_order(void **state)
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

static void test_server_arguments_omit_the_type(void **state)
{
	static const char *const wanted[] = { "x", "-o", "ro", "s", "m", "-oa", "-d" };
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "-o", "ro", "s", "-t", "t", "m", "-oa", "-d"),
			 0);
	assert_int_equal(args.argc, ARRAY_SIZE(wanted));
	for (int i = 0; i < args.argc; i++)
		assert_string_equal(args.argv[i], wanted[i]);
	assert_null(args.argv[args.argc]);
}

static void test_double_dash_ends_the_options(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "-tt", "--", "-o", "-tz"), 0);
	assert_string_equal(args.source, "-o");
	assert_string_equal(args.mountpoint, "-tz");
	assert_int_equal(args.argc, 4);
}

static void test_invalid_argument_is_reported(void **state)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "third"), -E2BIG);
	assert_string_equal(wrong, "third");
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "s", "m", "-o"), -EINVAL);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "-t"), -EINVAL);
	mount_args_free(&args);
	assert_int_equal(PARSE(&args, &wrong, "x", "-t", "a", "-t", "b"), -EEXIST);
}

static void test_r_and_w_equal_ro_and_rw(void **state)
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

static void test_subtype_is_a_valid_file_name(void **state)
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

static void test_fuseblk_is_set_by_type_or_option(void **state)
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
		cmocka_unit_test(test_arguments_may_come_in_any_order),
		cmocka_unit_test(test_server_arguments_omit_the_type),
		cmocka_unit_test(test_double_dash_ends_the_options),
		cmocka_unit_test(test_invalid_argument_is_reported),
		cmocka_unit_test(test_r_and_w_equal_ro_and_rw),
		cmocka_unit_test(test_subtype_is_a_valid_file_name),
		cmocka_unit_test(test_fuseblk_is_set_by_type_or_option),
	};

	return cmocka_run_group_tests_name("mount_args", tests, NULL, NULL);
}
