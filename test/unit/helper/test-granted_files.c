/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "helper/granted_files.h"

static void read_text(struct granted_files *files, const char *text)
{
	FILE *file = open_text(text);

	assert_int_equal(granted_files_read(files, file, "ext4.conf"), 0);
	fclose(file);
}

static void test_read_and_write_lines_grant_files(void **state)
{
	struct granted_files files = { 0 };

	(void)state;
	read_text(&files, "# keys\nread /etc/key\n  write\t/dev/sdc # journal\n");
	assert_int_equal(files.count, 2);
	assert_true(granted_files_contain(&files, "/etc/key", false));
	assert_false(granted_files_contain(&files, "/etc/key", true));
	assert_true(granted_files_contain(&files, "/dev/sdc", false));
	assert_true(granted_files_contain(&files, "/dev/sdc", true));
	assert_false(granted_files_contain(&files, "/etc", false));
	granted_files_free(&files);
}

static void test_invalid_lines_grant_nothing(void **state)
{
	struct granted_files files = { 0 };

	(void)state;
	read_text(&files, "read relative\nexec /bin/sh\nread\nwrite#/dev/sda\n/etc/key\n");
	assert_int_equal(files.count, 0);
	granted_files_free(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_write_lines_grant_files),
		cmocka_unit_test(test_invalid_lines_grant_nothing),
	};

	return cmocka_run_group_tests_name("granted_files", tests, NULL, NULL);
}
