/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "helper/fuse_conf.h"

#include <errno.h>

static struct fuse_conf read_text(const char *text)
{
	struct fuse_conf conf;
	FILE *file = open_text(text);

	fuse_conf_read(file, "fuse.conf", &conf);
	fclose(file);
	return conf;
}

static void test_nothing_is_granted_by_default(void **state)
{
	struct fuse_conf conf = read_text("# user_allow_other\n\n#mount_max = 5\n");

	(void)state;
	assert_false(conf.user_allow_other);
	assert_int_equal(conf.mount_max, 1000);
}

static void test_both_settings_are_read(void **state)
{
	struct fuse_conf conf = read_text("  user_allow_other   # yes\nmount_max = 5\n");

	(void)state;
	assert_true(conf.user_allow_other);
	assert_int_equal(conf.mount_max, 5);
	assert_int_equal(read_text("mount_max=-1").mount_max, -1);
	assert_int_equal(read_text("mount_max = 0").mount_max, 0);
}

static void test_invalid_line_grants_nothing(void **state)
{
	(void)state;
	assert_false(read_text("user_allow_other yes\n").user_allow_other);
	assert_false(read_text("xuser_allow_other\n").user_allow_other);
	assert_int_equal(read_text("mount_max = 7x\n").mount_max, 1000);
	assert_int_equal(read_text("mount_max = -2\n").mount_max, 1000);
	assert_int_equal(read_text("mount_max = 99999999999999\n").mount_max, 1000);
}

/* Return two lines, then an error. */
static ssize_t read_two_lines(void *cookie, char *buffer, size_t size)
{
	static const char text[] = "user_allow_other\nmount_max = 5\n";
	bool *is_read = cookie;

	if (*is_read || size < sizeof(text)) {
		errno = ENOMEM;
		return -1;
	}
	*is_read = true;
	memcpy(buffer, text, sizeof(text) - 1);
	return sizeof(text) - 1;
}

static void test_read_error_allows_no_mount(void **state)
{
	bool is_read = false;
	FILE *file = fopencookie(&is_read, "r", (cookie_io_functions_t){ .read = read_two_lines });
	struct fuse_conf conf;

	(void)state;
	fuse_conf_read(file, "fuse.conf", &conf);
	fclose(file);
	assert_true(is_read);
	assert_false(conf.user_allow_other);
	assert_int_equal(conf.mount_max, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_granted_by_default),
		cmocka_unit_test(test_both_settings_are_read),
		cmocka_unit_test(test_invalid_line_grants_nothing),
		cmocka_unit_test(test_read_error_allows_no_mount),
	};

	return cmocka_run_group_tests_name("fuse_conf", tests, NULL, NULL);
}
