/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "protocol/argv_memfd.h"

#include <sys/mman.h>

#define BYTES(text) (text), sizeof(text) - 1

/* A memfd with these bytes, as a hostile helper would make it. */
static int memfd_of(const char *bytes, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	return fd;
}

static void what_is_written_is_read_back(void **state)
{
	const char *const words[] = { "squashfs", "", "a b\n", "\xff\xfe", "-o" };
	_cleanup_close_ int fd = argv_memfd_create(COUNT(words), words);
	_cleanup_free_ char **argv = NULL;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(argv_memfd_read(fd, &argv), COUNT(words));
	for (size_t i = 0; i < COUNT(words); i++)
		assert_string_equal(argv[i], words[i]);
	assert_null(argv[COUNT(words)]);
}

static void the_format_is_the_protocols(void **state)
{
	const char *const words[] = { "x", "yz" };
	_cleanup_close_ int fd = argv_memfd_create(2, words);
	char bytes[64];
	static const char wanted[] = "ARGS\0\0\0\2"
				     "\0\0\0\30\0\0\0\2"
				     "\0\0\0\32\0\0\0\3"
				     "x\0yz";

	(void)state;
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(wanted));
	assert_memory_equal(bytes, wanted, sizeof(wanted));
}

static void neither_side_can_change_it(void **state)
{
	const char *const words[] = { "x" };
	_cleanup_close_ int fd = argv_memfd_create(1, words);

	(void)state;
	assert_int_equal(pwrite(fd, "y", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 4096), -1);
}

static void a_file_that_lies_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} lies[] = {
		{ BYTES("") },
		{ BYTES("ARGS") },
		{ BYTES("SGRA\0\0\0\1\0\0\0\20\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\0") },                     /* no argument at all */
		{ BYTES("ARGS\0\0\0\2\0\0\0\20\0\0\0\2x\0") }, /* more than there are */
		{ BYTES("ARGS\377\377\377\377\0\0\0\20\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\1\0\0\0\23\0\0\0\1x\0") }, /* behind the end */
		{ BYTES("ARGS\0\0\0\1\377\377\377\377\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\377\377\377\377x\0") }, /* longer than the file */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\0x\0") },         /* no room for a NUL */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\2xy") },          /* no NUL */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\4x\0y\0") },      /* one too many */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		_cleanup_close_ int fd = memfd_of(lies[i].bytes, lies[i].size);
		char **argv = NULL;

		assert_int_equal(argv_memfd_read(fd, &argv), -EBADMSG);
		assert_null(argv);
	}
}

static void a_file_larger_than_any_command_line_is_refused(void **state)
{
	_cleanup_close_ int fd = memfd_of(BYTES("ARGS\0\0\0\1"));
	char **argv = NULL;

	(void)state;
	assert_int_equal(ftruncate(fd, 1L << 30), 0);
	assert_int_equal(argv_memfd_read(fd, &argv), -E2BIG);
}

static void what_is_no_file_is_refused(void **state)
{
	int ends[2];
	char **argv = NULL;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(argv_memfd_read(ends[0], &argv), -EBADMSG);
	assert_int_equal(argv_memfd_read(-1, &argv), -EBADF);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(the_format_is_the_protocols),
		cmocka_unit_test(neither_side_can_change_it),
		cmocka_unit_test(a_file_that_lies_is_refused),
		cmocka_unit_test(a_file_larger_than_any_command_line_is_refused),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests_name("argfile", tests, NULL, NULL);
}
