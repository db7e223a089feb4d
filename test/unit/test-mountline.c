/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "mountline.h"

#include <errno.h>
#include <linux/mount.h>

#define _cleanup_line_ __attribute__((cleanup(mountline_free)))

/* Parses the words given, of which the first is argv[0]. */
#define PARSE(line, wrong, ...)                                                                    \
	mountline_parse((int)COUNT(((const char *const[]){ __VA_ARGS__ })),                        \
			(const char *const[]){ __VA_ARGS__ }, line, wrong)

static void source_mountpoint_type_and_options_are_found_anywhere(void **state)
{
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "-o", "ro,a=b", "disk.img", "-tfuse.ext4",
			       "/mnt", "-onoexec", "-n", "-d"),
			 0);
	assert_string_equal(line.source, "disk.img");
	assert_string_equal(line.mountpoint, "/mnt");
	assert_string_equal(line.type, "fuse.ext4");
	assert_string_equal(line.subtype, "ext4");
	assert_string_equal(line.list, "ro,a=b,noexec");
	assert_int_equal(line.options.flags, MS_RDONLY | MS_NOEXEC);
	assert_true(line.no_table);
	assert_string_equal(line.others[0], "-d");
	assert_null(line.others[1]);
	assert_false(line.fuseblk);
}

static void the_server_gets_the_line_without_the_type(void **state)
{
	static const char *const wanted[] = { "x", "-o", "ro", "s", "m", "-oa", "-d" };
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "-o", "ro", "s", "-t", "t", "m", "-oa", "-d"),
			 0);
	assert_int_equal(line.argc, COUNT(wanted));
	for (int i = 0; i < line.argc; i++)
		assert_string_equal(line.argv[i], wanted[i]);
	assert_null(line.argv[line.argc]);
}

static void behind_two_dashes_there_are_no_options(void **state)
{
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "-tt", "--", "-o", "-tz"), 0);
	assert_string_equal(line.source, "-o");
	assert_string_equal(line.mountpoint, "-tz");
	assert_int_equal(line.argc, 4);
}

static void what_cannot_be_read_is_named(void **state)
{
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "third"), -EINVAL);
	assert_string_equal(wrong, "third");
	mountline_free(&line);
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "-o"), -EINVAL);
	mountline_free(&line);
	assert_int_equal(PARSE(&line, &wrong, "x", "-t"), -EINVAL);
	mountline_free(&line);
	assert_int_equal(PARSE(&line, &wrong, "x", "-t", "a", "-t", "b"), -EINVAL);
}

static void r_and_w_are_ro_and_rw(void **state)
{
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "-r"), 0);
	assert_int_equal(line.options.flags, MS_RDONLY);
	mountline_free(&line);
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "-o", "ro", "-w"), 0);
	assert_int_equal(line.options.flags, 0);
}

static void a_type_names_a_service_or_none(void **state)
{
	(void)state;
	assert_string_equal(mountline_subtype("ext4"), "ext4");
	assert_string_equal(mountline_subtype("fuse.a.b"), "a.b");
	assert_string_equal(mountline_subtype("fuseblk.ntfs"), "ntfs");
	assert_string_equal(mountline_subtype("fuse.fuse.x"), "fuse.x");
	assert_null(mountline_subtype(""));
	assert_null(mountline_subtype("fuse."));
	assert_null(mountline_subtype("fuse.."));
	assert_null(mountline_subtype("fuse..."));
	assert_null(mountline_subtype("."));
	assert_null(mountline_subtype("../x"));
	assert_null(mountline_subtype("a/b"));
}

static void fuseblk_is_asked_for_by_type_or_option(void **state)
{
	_cleanup_line_ struct mountline line = { 0 };
	const char *wrong;

	(void)state;
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "-t", "fuseblk.x"), 0);
	assert_true(line.fuseblk);
	mountline_free(&line);
	assert_int_equal(PARSE(&line, &wrong, "x", "s", "m", "-t", "x", "-o", "blkdev"), 0);
	assert_true(line.fuseblk);
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
