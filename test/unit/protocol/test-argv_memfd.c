/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "protocol/argv_memfd.h"

#include <sys/mman.h>

#define BYTES(text) (text), sizeof(text) - 1

/* Create a memfd with these bytes, as a hostile helper would. */
static int create_memfd(const char *bytes, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	return fd;
}

static void test_arguments_are_read_back_unchanged(void **state)
{
	const char *const sent[] = { "squashfs", "", "a b\n", "\xff\xfe", "-o" };
	_cleanup_close_ int fd = argv_memfd_create(ARRAY_SIZE(sent), sent);
	_cleanup_free_ char **argv = NULL;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(argv_memfd_read(fd, &argv), ARRAY_SIZE(sent));
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
		assert_string_equal(argv[i], sent[i]);
	assert_null(argv[ARRAY_SIZE(sent)]);
}

static void test_format_is_that_of_the_protocol(void **state)
{
	const char *const argv[] = { "x", "yz" };
	_cleanup_close_ int fd = argv_memfd_create(2, argv);
	char bytes[64];
	static const char wanted[] = "ARGS\0\0\0\2"
				     "\0\0\0\30\0\0\0\2"
				     "\0\0\0\32\0\0\0\3"
				     "x\0yz";

	(void)state;
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(wanted));
	assert_memory_equal(bytes, wanted, sizeof(wanted));
}

static void test_memfd_is_sealed(void **state)
{
	const char *const argv[] = { "x" };
	_cleanup_close_ int fd = argv_memfd_create(1, argv);

	(void)state;
	assert_int_equal(pwrite(fd, "y", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 4096), -1);
}

static void test_malformed_files_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} samples[] = {
		{ BYTES("") },
		{ BYTES("ARGS") },
		{ BYTES("SGRA\0\0\0\1\0\0\0\20\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\0") },                     /* no argument */
		{ BYTES("ARGS\0\0\0\2\0\0\0\20\0\0\0\2x\0") }, /* count too large */
		{ BYTES("ARGS\377\377\377\377\0\0\0\20\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\1\0\0\0\23\0\0\0\1x\0") }, /* position after the end */
		{ BYTES("ARGS\0\0\0\1\377\377\377\377\0\0\0\2x\0") },
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\377\377\377\377x\0") }, /* longer than the file */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\0x\0") },         /* length 0 */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\2xy") },          /* no NUL */
		{ BYTES("ARGS\0\0\0\1\0\0\0\20\0\0\0\4x\0y\0") },      /* a NUL inside */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_close_ int fd = create_memfd(samples[i].bytes, samples[i].size);
		char **argv = NULL;

		assert_int_equal(argv_memfd_read(fd, &argv), -EBADMSG);
		assert_null(argv);
	}
}

static void test_too_large_file_is_refused(void **state)
{
	_cleanup_close_ int fd = create_memfd(BYTES("ARGS\0\0\0\1"));
	char **argv = NULL;

	(void)state;
	assert_int_equal(ftruncate(fd, 1L << 30), 0);
	assert_int_equal(argv_memfd_read(fd, &argv), -E2BIG);
}

static void test_pipe_and_closed_fd_are_refused(void **state)
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
		cmocka_unit_test(test_arguments_are_read_back_unchanged),
		cmocka_unit_test(test_format_is_that_of_the_protocol),
		cmocka_unit_test(test_memfd_is_sealed),
		cmocka_unit_test(test_malformed_files_are_refused),
		cmocka_unit_test(test_too_large_file_is_refused),
		cmocka_unit_test(test_pipe_and_closed_fd_are_refused),
	};

	return cmocka_run_group_tests_name("argv_memfd", tests, NULL, NULL);
}
