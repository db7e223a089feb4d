/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "broker/path_argument.h"

static void path_is_normalized(void **state)
{
	static const struct {
		const char *path, *normalized;
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
		/* relative paths are not changed */
		{ "pipe:[123]/foo", "pipe:[123]/foo" },
		{ "(unreachable)/..", "(unreachable)/.." },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s", samples[i].path);
		path_argument_normalize(path);
		assert_string_equal(path, samples[i].normalized);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_is_normalized),
	};

	return cmocka_run_group_tests_name("path_argument", tests, NULL, NULL);
}
