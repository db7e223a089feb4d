/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "broker/path_argument.h"

static void each_path_has_one_spelling(void **state)
{
	static const struct {
		const char *path, *wanted;
	} samples[] = {
		{ "/", "/" },
		{ "///", "/" },
		{ "/a/b", "/a/b" },
		{ "//a///b/", "/a/b" },
		{ "/a/./b/.", "/a/b" },
		{ "/a/../b", "/b" },
		{ "/a/b/../../c", "/c" },
		{ "/..", "/" },
		{ "/../../a", "/a" },
		{ "/a/..", "/" },
		{ "/a/...", "/a/..." },
		{ "/a/..b/.c", "/a/..b/.c" },
		{ "/a/b/..", "/a" },
		/* not absolute: left alone */
		{ "pipe:[123]/foo", "pipe:[123]/foo" },
		{ "(unreachable)/..", "(unreachable)/.." },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s", samples[i].path);
		path_argument_normalize(path);
		assert_string_equal(path, samples[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_has_one_spelling),
	};

	return cmocka_run_group_tests_name("callpath", tests, NULL, NULL);
}
