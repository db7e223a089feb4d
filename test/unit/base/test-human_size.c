/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/human_size.h"

static void test_sizes_are_rounded_down(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1K" },
		{ 1536, "1.5K" },
		{ 1048575, "1023.9K" },
		{ 1073741824, "1G" },
		{ 1073741824 + 1073741823, "1.9G" },
		{ UINT64_MAX, "15.9E" },
	};
	char text[HUMAN_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		human_size(sizes[i].bytes, text);
		assert_string_equal(text, sizes[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_rounded_down),
	};

	return cmocka_run_group_tests_name("human_size", tests, NULL, NULL);
}
