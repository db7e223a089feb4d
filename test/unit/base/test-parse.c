/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/parse.h"

#include <errno.h>
#include <limits.h>

static void test_number_up_to_the_maximum_is_accepted(void **state)
{
	unsigned int number = 0;

	(void)state;
	assert_int_equal(parse_number("0", 10, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(parse_number("10", 10, &number), 0);
	assert_int_equal(number, 10);
	assert_int_equal(parse_number("4294967295", UINT_MAX, &number), 0);
	assert_int_equal(number, UINT_MAX);
	assert_int_equal(parse_number("007", 10, &number), 0);
	assert_int_equal(number, 7);
}

static void test_other_text_is_refused_and_changes_nothing(void **state)
{
	static const char *const texts[] = { "",    " 1", "1 ",         "+1", "-1",         "1x",
					     "0x1", "11", "4294967296", "9",  "99999999999" };
	unsigned int number = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(parse_number(texts[i], 8, &number), -EINVAL);
	assert_int_equal(parse_number("4294967296", UINT_MAX, &number), -EINVAL);
	assert_int_equal(number, 5);
}

static void test_seconds_have_both_limits(void **state)
{
	unsigned int seconds = 5;

	(void)state;
	assert_int_equal(parse_seconds("0", 1, &seconds), -EINVAL);
	assert_int_equal(parse_seconds("86401", 0, &seconds), -EINVAL);
	assert_int_equal(seconds, 5);
	assert_int_equal(parse_seconds("0", 0, &seconds), 0);
	assert_int_equal(seconds, 0);
	assert_int_equal(parse_seconds("86400", 1, &seconds), 0);
	assert_int_equal(seconds, MAX_SECONDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_up_to_the_maximum_is_accepted),
		cmocka_unit_test(test_other_text_is_refused_and_changes_nothing),
		cmocka_unit_test(test_seconds_have_both_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
