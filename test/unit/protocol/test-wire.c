/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "protocol/wire.h"

#include <errno.h>
#include <sys/stat.h>

/* One packet of each kind, byte for byte as in the protocol's specification. */
static const struct {
	const char *bytes;
	size_t size;
	struct wire_packet packet;
} samples[] = {
	{ "SAFT\0\1\0\1\0\0\0\3",
	  12,
	  { .kind = WIRE_HELLO, .min_version = 1, .max_version = 1, .flags = 3 } },
	{ "LAST\0\1\0\0", 8, { .kind = WIRE_HELLO_REPLY, .version = 1 } },
	{ "FILE\0\0\0\15a b\0", 12, { .kind = WIRE_FILE, .error = 13, .text = "a b" } },
	{ "OPEN\0\0\200\2\0\0\1\244\0\0\0\1\0\0\2\0/x\0",
	  23,
	  { .kind = WIRE_OPEN,
	    .open_flags = 0100002,
	    .create_mode = 0644,
	    .request_flags = 1,
	    .block_size = 512,
	    .text = "/x" } },
	{ "BDEV\0\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0/dev/a\0",
	  27,
	  { .kind = WIRE_BDEV, .block_size = 4096, .text = "/dev/a" } },
	{ "TYPE\0\0\0\1", 8, { .kind = WIRE_TYPE, .flags = 1 } },
	{ "NAMEsource\0", 11, { .kind = WIRE_NAME, .text = "source" } },
	{ "MNTP@\0\0\0/mnt\0", 13, { .kind = WIRE_MOUNTPOINT, .format = S_IFDIR, .text = "/mnt" } },
	{ "OPTSmax_read=4096\0", 18, { .kind = WIRE_OPTIONS, .text = "max_read=4096" } },
	{ "MTAB-n\0", 7, { .kind = WIRE_TABLE, .text = "-n" } },
	{ "DOIT\0\0\0\1", 8, { .kind = WIRE_MOUNT, .flags = 1 } },
	{ "UMNT", 4, { .kind = WIRE_UNMOUNT } },
	{ "BYEE\0\0\0\52", 8, { .kind = WIRE_GOODBYE, .exitcode = 42 } },
	{ "REPL\0\0\0\26", 8, { .kind = WIRE_REPLY, .error = 22 } },
};

static void test_packets_are_encoded_as_specified(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(samples), WIRE_KIND_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char buffer[64];

		assert_int_equal(wire_encode(&samples[i].packet, buffer, sizeof(buffer)),
				 samples[i].size);
		assert_memory_equal(buffer, samples[i].bytes, samples[i].size);
	}
}

static void test_packets_are_decoded_as_specified(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct wire_packet *wanted = &samples[i].packet;
		struct wire_packet got;

		assert_int_equal(wire_decode(samples[i].bytes, samples[i].size, &got), 0);
		assert_int_equal(got.kind, wanted->kind);
		assert_int_equal(got.flags, wanted->flags);
		assert_int_equal(got.create_mode, wanted->create_mode);
		assert_int_equal(got.request_flags, wanted->request_flags);
		assert_int_equal(got.block_size, wanted->block_size);
		assert_int_equal(got.format, wanted->format);
		assert_int_equal(got.max_version, wanted->max_version);
		if (wanted->text)
			assert_string_equal(got.text, wanted->text);
		else
			assert_null(got.text);
	}
}

static void test_packet_of_wrong_size_is_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct wire_packet got;
		char longer[64];

		for (size_t size = 4; size < samples[i].size; size++) {
			assert_int_equal(wire_decode(samples[i].bytes, size, &got), -EINVAL);
			assert_int_equal(got.kind, samples[i].packet.kind);
		}
		/* Then a string has a NUL before its end, and a number is followed by a byte. */
		memcpy(longer, samples[i].bytes, samples[i].size);
		longer[samples[i].size] = '\0';
		assert_int_equal(wire_decode(longer, samples[i].size + 1, &got), -EINVAL);
	}
}

static void test_string_must_end_with_its_only_nul(void **state)
{
	struct wire_packet got;

	(void)state;
	assert_int_equal(wire_decode("NAMEabc", 7, &got), -EINVAL);
	assert_int_equal(wire_decode("NAMEa\0c\0", 8, &got), -EINVAL);
	assert_int_equal(wire_decode("NAME\0", 5, &got), 0);
	assert_string_equal(got.text, "");
}

static void test_padding_must_be_zero(void **state)
{
	struct wire_packet got;

	(void)state;
	assert_int_equal(wire_decode("LAST\0\1\0\1", 8, &got), -EINVAL);
	assert_int_equal(wire_decode("MNTP@\0\1\0/mnt\0", 13, &got), -EINVAL);
}

static void test_unknown_magic_is_a_protocol_error(void **state)
{
	struct wire_packet got;

	(void)state;
	assert_int_equal(wire_decode("EVIL", 4, &got), -EPROTO);
	assert_int_equal(wire_decode("open\0\0", 6, &got), -EPROTO);
	assert_int_equal(wire_decode("OPE", 3, &got), -EPROTO);
	assert_int_equal(wire_decode("", 0, &got), -EPROTO);
}

static void test_packet_size_is_limited(void **state)
{
	static char path[WIRE_PACKET_MAX], buffer[2 * WIRE_PACKET_MAX];
	struct wire_packet packet = { .kind = WIRE_NAME, .text = path };

	(void)state;
	memset(path, 'x', WIRE_PACKET_MAX - 5);
	assert_int_equal(wire_encode(&packet, buffer, sizeof(buffer)), WIRE_PACKET_MAX);
	assert_int_equal(wire_decode(buffer, WIRE_PACKET_MAX, &packet), 0);
	buffer[WIRE_PACKET_MAX - 1] = 'x';
	buffer[WIRE_PACKET_MAX] = '\0';
	assert_int_equal(wire_decode(buffer, WIRE_PACKET_MAX + 1, &packet), -EINVAL);
	memset(path, 'x', WIRE_PACKET_MAX - 4);
	packet = (struct wire_packet){ .kind = WIRE_NAME, .text = path };
	assert_int_equal(wire_encode(&packet, buffer, sizeof(buffer)), -EMSGSIZE);
}

static void test_encoding_never_overruns_the_buffer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char buffer[64];

		for (size_t size = 0; size < samples[i].size; size++) {
			memset(buffer, 0x55, sizeof(buffer));
			assert_int_equal(wire_encode(&samples[i].packet, buffer, size), -EMSGSIZE);
			assert_int_equal(buffer[size], 0x55);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_are_encoded_as_specified),
		cmocka_unit_test(test_packets_are_decoded_as_specified),
		cmocka_unit_test(test_packet_of_wrong_size_is_malformed),
		cmocka_unit_test(test_string_must_end_with_its_only_nul),
		cmocka_unit_test(test_padding_must_be_zero),
		cmocka_unit_test(test_unknown_magic_is_a_protocol_error),
		cmocka_unit_test(test_packet_size_is_limited),
		cmocka_unit_test(test_encoding_never_overruns_the_buffer),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
