/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "words.h"

#include <stdlib.h>

#define _cleanup_words_ __attribute__((cleanup(words_free)))

static void words_stand_in_their_order(void **state)
{
	static const char *const more[] = { "b", "c d", NULL };
	_cleanup_words_ struct words words = { 0 };

	(void)state;
	words_add(&words, "a");
	words_add_all(&words, more);
	assert_false(words.failed);
	assert_int_equal(words.count, 3);
	assert_string_equal(words.argv[2], "c d");
	assert_null(words.argv[3]);
}

static void names_are_replaced_wherever_they_stand(void **state)
{
	struct words_expansion expansions[] = { { "{uid}", "1000", false },
						{ "{source}", "/a/{uid}", false },
						{ NULL, NULL, false } };
	_cleanup_words_ struct words words = { 0 };

	(void)state;
	words_add_expanded(&words, "uid={uid},gid={uid}", expansions);
	words_add_expanded(&words, "{source}", expansions);
	words_add_expanded(&words, "{other}{", expansions);
	words_add_expanded(&words, "", expansions);
	assert_string_equal(words.argv[0], "uid=1000,gid=1000");
	assert_string_equal(words.argv[1], "/a/{uid}"); /* a value is not looked at again */
	assert_string_equal(words.argv[2], "{other}{");
	assert_string_equal(words.argv[3], "");
	assert_true(expansions[0].used && expansions[1].used);
}

static void words_are_found_and_joined(void **state)
{
	_cleanup_words_ struct words words = { 0 };
	char *text = words_join(&words, ',');

	(void)state;
	assert_string_equal(text, "");
	free(text);
	words_add(&words, "a b");
	words_add(&words, "");
	words_add(&words, "c");
	text = words_join(&words, ',');
	assert_string_equal(text, "a b,,c");
	free(text);
	assert_true(words_have(&words, "c") && words_have(&words, ""));
	assert_false(words_have(&words, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_stand_in_their_order),
		cmocka_unit_test(names_are_replaced_wherever_they_stand),
		cmocka_unit_test(words_are_found_and_joined),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
