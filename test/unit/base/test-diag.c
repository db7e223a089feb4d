/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/diag.h"

#include <getopt.h>
#include <unistd.h>

static void assert_printed(const char *text, const char *wanted)
{
	char shown[256];

	assert_int_equal(diag_printable(shown, sizeof(shown), text), strlen(wanted));
	assert_string_equal(shown, wanted);
}

static void test_printable_text_is_unchanged(void **state)
{
	(void)state;
	assert_printed("", "");
	assert_printed("a b ~", "a b ~");
	assert_printed("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void test_control_characters_are_printed_as_hex(void **state)
{
	(void)state;
	assert_printed("a\x1b[2Jb\n\r\t\x7f", "a\\x1b[2Jb\\x0a\\x0d\\x09\\x7f");
	assert_printed("\xc2\x9b"
		       "31m",
		       "\\xc2\\x9b31m"); /* the control sequence introducer as one character */
	/* NOLINTNEXTLINE(misc-misleading-bidirectional): it is what this test is about */
	assert_printed("\xe2\x80\xae"
		       "gpj.exe",
		       "\\xe2\\x80\\xaegpj.exe"); /* RIGHT-TO-LEFT OVERRIDE */
}

static void test_invalid_utf8_is_printed_as_hex(void **state)
{
	(void)state;
	assert_printed("\xff", "\\xff");
	assert_printed("\xc3", "\\xc3");
	assert_printed("\xc0\x80", "\\xc0\\x80");                   /* an overlong NUL */
	assert_printed("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
	assert_printed("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* above the Unicode range */
}

static void test_long_text_is_truncated(void **state)
{
	char shown[8];

	(void)state;
	assert_int_equal(diag_printable(shown, sizeof(shown), "abcdefghij"), 7);
	assert_string_equal(shown, "abcdefg");
	assert_int_equal(diag_printable(shown, sizeof(shown), "abcde\x1b"), 5);
	assert_string_equal(shown, "abcde");
	assert_int_equal(diag_printable(shown, 1, "a"), 0);
	assert_string_equal(shown, "");
}

/* Parse "PROGRAM FIRST [SECOND]" with getopt_long(3) and expect MESSAGE as the usage error. */
static void assert_usage_error(const char *first, const char *second, const char *message)
{
	static const struct option long_options[] = { { "quiet", no_argument, NULL, 'q' },
						      { "time", required_argument, NULL, 't' },
						      { 0 } };
	char *argv[] = { (char[]){ "program" }, (char *)(uintptr_t)first, (char *)(uintptr_t)second,
			 NULL };
	char wanted[256], printed[256];
	int ends[2], result, saved = dup(STDERR_FILENO);
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	diag_set_program("program");
	opterr = 0;
	optind = 0;
	do
		result = getopt_long(second ? 3 : 2, argv, ":qt:", long_options, NULL);
	while (result != '?' && result != ':');
	dup2(ends[1], STDERR_FILENO);
	diag_getopt_error(result, argv);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	length = read(ends[0], printed, sizeof(printed) - 1);
	close(ends[0]);
	assert_true(length > 0);
	printed[length] = '\0';
	snprintf(wanted, sizeof(wanted),
		 "program: %s\nTry 'program --help' for more information.\n", message);
	assert_string_equal(printed, wanted);
}

static void test_usage_errors_are_those_of_coreutils(void **state)
{
	(void)state;
	assert_usage_error("--foo", NULL, "unrecognized option '--foo'");
	assert_usage_error("--time", NULL, "option '--time' requires an argument");
	assert_usage_error("-t", NULL, "option '-t' requires an argument");
	assert_usage_error("-q", "-qx", "invalid option -- 'x'");
	assert_usage_error("--quiet", "-xq", "invalid option -- 'x'");
	assert_usage_error("--quiet=1", NULL, "option '--quiet' doesn't allow an argument");
	assert_usage_error("--a\nb", NULL, "unrecognized option '--a\\x0ab'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printable_text_is_unchanged),
		cmocka_unit_test(test_control_characters_are_printed_as_hex),
		cmocka_unit_test(test_invalid_utf8_is_printed_as_hex),
		cmocka_unit_test(test_long_text_is_truncated),
		cmocka_unit_test(test_usage_errors_are_those_of_coreutils),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
