/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/diag.h"

static void assert_shown(const char *text, const char *wanted)
{
	char shown[256];

	assert_int_equal(diag_printable(shown, sizeof(shown), text), strlen(wanted));
	assert_string_equal(shown, wanted);
}

static void text_is_shown_as_it_is(void **state)
{
	(void)state;
	assert_shown("", "");
	assert_shown("a b ~", "a b ~");
	assert_shown("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void control_characters_are_shown_as_numbers(void **state)
{
	(void)state;
	assert_shown("a\x1b[2Jb\n\r\t\x7f", "a\\x1b[2Jb\\x0a\\x0d\\x09\\x7f");
	assert_shown("\xc2\x9b"
		     "31m",
		     "\\xc2\\x9b31m"); /* CSI in one character */
	/* NOLINTNEXTLINE(misc-misleading-bidirectional): it is what this test is about */
	assert_shown("\xe2\x80\xae"
		     "gpj.exe",
		     "\\xe2\\x80\\xaegpj.exe"); /* right-to-left override */
}

static void what_is_no_utf8_is_shown_as_numbers(void **state)
{
	(void)state;
	assert_shown("\xff", "\\xff");
	assert_shown("\xc3", "\\xc3");
	assert_shown("\xc0\x80", "\\xc0\\x80");                   /* a NUL, overlong */
	assert_shown("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
	assert_shown("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
}

static void what_does_not_fit_is_left_out(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_shown_as_it_is),
		cmocka_unit_test(control_characters_are_shown_as_numbers),
		cmocka_unit_test(what_is_no_utf8_is_shown_as_numbers),
		cmocka_unit_test(what_does_not_fit_is_left_out),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
