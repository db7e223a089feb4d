/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/options.h"

#include <linux/mount.h>

static void each_option_finds_its_class(void **state)
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
	for (size_t i = 0; i < COUNT(samples); i++)
		assert_int_equal(option_find_rule(samples[i].option)->class, samples[i].class);
}

static void a_list_is_taken_apart_at_its_commas(void **state)
{
	static const char *const wanted[] = { "a", "b=c,d", "e\\f", "g h", "last=" };
	const char *cursor = ",a,,b=c\\,d,e\\\\f,g\\040h,last=";

	(void)state;
	for (size_t i = 0; i < COUNT(wanted); i++) {
		_cleanup_free_ char *option = NULL;

		assert_int_equal(options_next(&cursor, &option), 1);
		assert_string_equal(option, wanted[i]);
	}
	assert_int_equal(options_next(&cursor, &(char *){ NULL }), 0);
}

static void what_is_added_comes_out_the_same(void **state)
{
	static const char *const words[] = { "plain", "with,comma", "with\\backslash", "\\040" };
	_cleanup_free_ char *list = NULL;
	const char *cursor;

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++)
		assert_int_equal(options_add(&list, words[i]), 0);
	cursor = list;
	for (size_t i = 0; i < COUNT(words); i++) {
		_cleanup_free_ char *option = NULL;

		assert_int_equal(options_next(&cursor, &option), 1);
		assert_string_equal(option, words[i]);
	}
}

static void options_go_where_they_belong(void **state)
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

static void the_last_word_on_a_flag_counts(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(options_parse("ro,suid,rw,nodev,dev,nodev", &options), 0);
	assert_int_equal(options.flags, MS_NODEV);
	assert_int_equal(options.flag_mask, MS_RDONLY | MS_NOSUID | MS_NODEV);
}

static void allow_root_opens_the_mount_and_tells_libfuse(void **state)
{
	_cleanup_options_ struct options options = { 0 };

	(void)state;
	assert_int_equal(options_parse("allow_root", &options), 0);
	assert_string_equal(options.kernel, "allow_other");
	assert_string_equal(options.server, "allow_root");
}

static void nothing_sorts_into_nothing(void **state)
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
		cmocka_unit_test(each_option_finds_its_class),
		cmocka_unit_test(a_list_is_taken_apart_at_its_commas),
		cmocka_unit_test(what_is_added_comes_out_the_same),
		cmocka_unit_test(options_go_where_they_belong),
		cmocka_unit_test(the_last_word_on_a_flag_counts),
		cmocka_unit_test(allow_root_opens_the_mount_and_tells_libfuse),
		cmocka_unit_test(nothing_sorts_into_nothing),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
