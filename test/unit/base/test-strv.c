/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/strv.h"

#include <stdlib.h>

static void strv_stand_in_their_order(void **state)
{
	static const char *const more[] = { "b", "c d", NULL };
	_cleanup_strv_ struct strv words = { 0 };

	(void)state;
	strv_add(&words, "a");
	strv_add_all(&words, more);
	assert_false(words.failed);
	assert_int_equal(words.count, 3);
	assert_string_equal(words.argv[2], "c d");
	assert_null(words.argv[3]);
}

static void names_are_replaced_wherever_they_stand(void **state)
{
	struct strv_expansion expansions[] = { { "{uid}", "1000", false },
					       { "{source}", "/a/{uid}", false },
					       { NULL, NULL, false } };
	_cleanup_strv_ struct strv words = { 0 };

	(void)state;
	strv_add_expanded(&words, "uid={uid},gid={uid}", expansions);
	strv_add_expanded(&words, "{source}", expansions);
	strv_add_expanded(&words, "{other}{", expansions);
	strv_add_expanded(&words, "", expansions);
	assert_string_equal(words.argv[0], "uid=1000,gid=1000");
	assert_string_equal(words.argv[1], "/a/{uid}"); /* a value is not looked at again */
	assert_string_equal(words.argv[2], "{other}{");
	assert_string_equal(words.argv[3], "");
	assert_true(expansions[0].used && expansions[1].used);
}

static void strv_are_found_and_joined(void **state)
{
	_cleanup_strv_ struct strv words = { 0 };
	char *text = strv_join(&words, ',');

	(void)state;
	assert_string_equal(text, "");
	free(text);
	strv_add(&words, "a b");
	strv_add(&words, "");
	strv_add(&words, "c");
	text = strv_join(&words, ',');
	assert_string_equal(text, "a b,,c");
	free(text);
	assert_true(strv_contains(&words, "c") && strv_contains(&words, ""));
	assert_false(strv_contains(&words, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strv_stand_in_their_order),
		cmocka_unit_test(names_are_replaced_wherever_they_stand),
		cmocka_unit_test(strv_are_found_and_joined),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
