/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "listener/user_limit.h"

static uid_t limit_uid(const char *text, uid_t user)
{
	FILE *table = open_text(text);
	uid_t found = user_limit_uid(table, user);

	fclose(table);
	return found;
}

static void ids_of_a_line_count_as_its_first(void **state)
{
	static const char text[] = "one:100000:65536\n# two:1000:10\nthree:165536:65536\n";

	(void)state;
	assert_int_equal(limit_uid(text, 100000), 100000);
	assert_int_equal(limit_uid(text, 165535), 100000);
	assert_int_equal(limit_uid(text, 165536), 165536);
	assert_int_equal(limit_uid(text, 231071), 165536);
}

static void other_ids_count_as_themselves(void **state)
{
	static const char *const texts[] = {
		"one:100000:65536\n", "one:100000\n", "::\n", "one:1:0\n", "one:x:y\n", ":1:99\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (uid_t user = 0; user < 3; user++)
			assert_int_equal(limit_uid(texts[i], user), user);
	assert_int_equal(limit_uid(texts[0], 99999), 99999);
	assert_int_equal(limit_uid(texts[0], 165536), 165536);
	assert_int_equal(user_limit_uid(NULL, 100000), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_of_a_line_count_as_its_first),
		cmocka_unit_test(other_ids_count_as_themselves),
	};

	return cmocka_run_group_tests_name("user_limit", tests, NULL, NULL);
}
