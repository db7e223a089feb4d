/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/strv.h"

#include <stdlib.h>

static void test_strings_keep_their_order(void **state)
{
	static const char *const more[] = { "b", "c d", NULL };
	_cleanup_strv_ struct strv strv = { 0 };

	(void)state;
	strv_add(&strv, "a");
	strv_add_all(&strv, more);
	assert_false(strv.failed);
	assert_int_equal(strv.count, 3);
	assert_string_equal(strv.argv[2], "c d");
	assert_null(strv.argv[3]);
}

static void test_placeholders_are_replaced_anywhere(void **state)
{
	struct strv_expansion expansions[] = { { "{uid}", "1000", false },
					       { "{source}", "/a/{uid}", false },
					       { NULL, NULL, false } };
	_cleanup_strv_ struct strv strv = { 0 };

	(void)state;
	strv_add_expanded(&strv, "uid={uid},gid={uid}", expansions);
	strv_add_expanded(&strv, "{source}", expansions);
	strv_add_expanded(&strv, "{other}{", expansions);
	strv_add_expanded(&strv, "", expansions);
	assert_string_equal(strv.argv[0], "uid=1000,gid=1000");
	assert_string_equal(strv.argv[1], "/a/{uid}"); /* a value is not expanded again */
	assert_string_equal(strv.argv[2], "{other}{");
	assert_string_equal(strv.argv[3], "");
	assert_true(expansions[0].used && expansions[1].used);
}

static void test_strings_are_found_and_joined(void **state)
{
	_cleanup_strv_ struct strv strv = { 0 };
	char *text = strv_join(&strv, ',');

	(void)state;
	assert_string_equal(text, "");
	free(text);
	strv_add(&strv, "a b");
	strv_add(&strv, "");
	strv_add(&strv, "c");
	text = strv_join(&strv, ',');
	assert_string_equal(text, "a b,,c");
	free(text);
	assert_true(strv_contains(&strv, "c") && strv_contains(&strv, ""));
	assert_false(strv_contains(&strv, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_keep_their_order),
		cmocka_unit_test(test_placeholders_are_replaced_anywhere),
		cmocka_unit_test(test_strings_are_found_and_joined),
	};

	return cmocka_run_group_tests_name("strv", tests, NULL, NULL);
}
