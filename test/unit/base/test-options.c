/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/options.h"

#include <linux/mount.h>

static void test_each_option_has_its_class(void **state)
{
	static const struct {
		const char *option;
		enum option_class class;
	} samples[] = {
		{ "ro", OPTION_FLAG },
		{ "defaults", OPTION_FLAG },
		{ "roo", OPTION_SERVER },
		{ "allow_other", OPTION_KERNEL },
		{ "allow_otherwise", OPTION_SERVER },
		{ "max_read=1", OPTION_KERNEL },
		{ "max_read", OPTION_SERVER },
		{ "fd=3", OPTION_PRIVATE },
		{ "user_id=0", OPTION_PRIVATE },
		{ "rootcontext=a", OPTION_LABEL },
		{ "fsname=x", OPTION_FSNAME },
		{ "subtype=x", OPTION_SUBTYPE },
		{ "blkdev", OPTION_BLKDEV },
		{ "user=alice", OPTION_TABLE },
		{ "x-systemd.automount", OPTION_TABLE },
		{ "fsvc.file=/a", OPTION_HELPER },
		{ "fsvc.timeout=3", OPTION_HELPER },
		{ "fsvc.unheard-of", OPTION_HELPER },
		{ "fsvc=never", OPTION_SERVER },
		{ "x", OPTION_SERVER },
		{ "auto_unmount", OPTION_LIBFUSE },
		{ "journal=/dev/sdb", OPTION_SERVER },
		{ "", OPTION_SERVER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		assert_int_equal(option_find_rule(samples[i].option)->class, samples[i].class);
}

static void test_list_is_split_at_unescaped_commas(void **state)
{
	static const char *const wanted[] = { "a", "b=c,d", "e\\f", "g h", "last=" };
	const char *cursor = ",a,,b=c\\,d,e\\\\f,g\\040h,last=";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		_cleanup_free_ char *option = NULL;

		assert_int_equal(options_next(&cursor, &option), 1);
		assert_string_equal(option, wanted[i]);
	}
	assert_int_equal(options_next(&cursor, &(char *){ NULL }), 0);
}

static void test_added_option_is_read_back_unchanged(void **state)
{
	static const char *const added[] = { "plain", "with,comma", "with\\backslash", "\\040" };
	_cleanup_free_ char *list = NULL;
	const char *cursor;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(added); i++)
		assert_int_equal(options_add(&list, added[i]), 0);
	cursor = list;
	for (size_t i = 0; i < ARRAY_SIZE(added); i++) {
		_cleanup_free_ char *option = NULL;

		assert_int_equal(options_next(&cursor, &option), 1);
		assert_string_equal(option, added[i]);
	}
}

static void test_options_are_grouped_by_program(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(
		options_parse("ro,nofail,max_read=4096,fsname=a\\,b,fd=9,subtype=s,blkdev,"
			      "threads=4,x-foo=1,fsvc.file=/a,default_permissions,clone_fd,noexec",
			      &options),
		0);
	assert_int_equal(options.flags, MS_RDONLY | MS_NOEXEC);
	assert_string_equal(options.kernel, "max_read=4096,default_permissions");
	assert_string_equal(options.table, "nofail,x-foo=1");
	assert_string_equal(options.helper, "fsvc.file=/a");
	assert_string_equal(options.server, "threads=4,clone_fd");
	assert_string_equal(options.fsname, "a,b");
	assert_string_equal(options.subtype, "s");
	assert_true(options.blkdev);
}

static void test_last_option_for_a_flag_decides(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(options_parse("ro,suid,rw,nodev,dev,nodev", &options), 0);
	assert_int_equal(options.flags, MS_NODEV);
	assert_int_equal(options.flag_mask, MS_RDONLY | MS_NOSUID | MS_NODEV);
}

static void test_allow_root_is_for_kernel_and_libfuse(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(options_parse("allow_root", &options), 0);
	assert_string_equal(options.kernel, "allow_other");
	assert_string_equal(options.server, "allow_root");
}

static void test_empty_list_gives_no_options(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(options_parse(NULL, &options), 0);
	assert_int_equal(options_parse(",,", &options), 0);
	assert_null(options.kernel);
	assert_null(options.server);
	assert_int_equal(options.flag_mask, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_option_has_its_class),
		cmocka_unit_test(test_list_is_split_at_unescaped_commas),
		cmocka_unit_test(test_added_option_is_read_back_unchanged),
		cmocka_unit_test(test_options_are_grouped_by_program),
		cmocka_unit_test(test_last_option_for_a_flag_decides),
		cmocka_unit_test(test_allow_root_is_for_kernel_and_libfuse),
		cmocka_unit_test(test_empty_list_gives_no_options),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
