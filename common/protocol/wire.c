/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/wire.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/* The fields after the magic. */
enum field_type { NO_FIELD, U16, U32, ZERO16, STRING };

struct field {
	enum field_type type;
	size_t offset; /* the offset of the member in struct wire_packet */
};

#define MAX_FIELDS 5
/* clang-format off */
#define FIELD(form, member) { form, offsetof(struct wire_packet, member) }
#define PADDING             { ZERO16, 0 }
#define OPEN_FIELDS                                                                                \
	FIELD(U32, open_flags), FIELD(U32, create_mode), FIELD(U32, request_flags),                \
	FIELD(U32, block_size), FIELD(STRING, text)

static const struct layout {
	char magic[5];
	struct field fields[MAX_FIELDS];
} layouts[WIRE_KIND_COUNT] = {
	[WIRE_HELLO]       = { "SAFT", { FIELD(U16, min_version), FIELD(U16, max_version),
	                                 FIELD(U32, flags) } },
	[WIRE_HELLO_REPLY] = { "LAST", { FIELD(U16, version), PADDING } },
	[WIRE_FILE]        = { "FILE", { FIELD(U32, error), FIELD(STRING, text) } },
	[WIRE_OPEN]        = { "OPEN", { OPEN_FIELDS } },
	[WIRE_BDEV]        = { "BDEV", { OPEN_FIELDS } },
	[WIRE_TYPE]        = { "TYPE", { FIELD(U32, flags) } },
	[WIRE_NAME]        = { "NAME", { FIELD(STRING, text) } },
	[WIRE_MOUNTPOINT]  = { "MNTP", { FIELD(U16, format), PADDING, FIELD(STRING, text) } },
	[WIRE_OPTIONS]     = { "OPTS", { FIELD(STRING, text) } },
	[WIRE_TABLE]       = { "MTAB", { FIELD(STRING, text) } },
	[WIRE_MOUNT]       = { "DOIT", { FIELD(U32, flags) } },
	[WIRE_UNMOUNT]     = { "UMNT", { { NO_FIELD, 0 } } },
	[WIRE_GOODBYE]     = { "BYEE", { FIELD(U32, exitcode) } },
	[WIRE_REPLY]       = { "REPL", { FIELD(U32, error) } },
};
/* clang-format on */

#define MAGIC_SIZE sizeof(uint32_t)

const char *wire_packet_name(enum wire_kind kind)
{
	return layouts[kind].magic;
}

/* Decode one field at IN, of which LEFT bytes remain. Return its size, or 0 if it is malformed. */
static size_t decode_field(const struct field *field, const unsigned char *in, size_t left,
			   struct wire_packet *packet)
{
	void *member = (char *)packet + field->offset;
	uint16_t half;
	uint32_t number;

	switch (field->type) {
	case U16:
	case ZERO16:
		if (left < sizeof(half))
			return 0;
		memcpy(&half, in, sizeof(half));
		half = be16toh(half);
		if (field->type == U16)
			*(uint16_t *)member = half;
		else if (half != 0)
			return 0;
		return sizeof(half);
	case U32:
		if (left < sizeof(number))
			return 0;
		memcpy(&number, in, sizeof(number));
		*(uint32_t *)member = be32toh(number);
		return sizeof(number);
	case STRING:
		/*
		 * The first NUL must be the last byte of the packet, so that nothing is hidden
		 * after it.
		 */
		if (left == 0 || memchr(in, '\0', left) != in + left - 1)
			return 0;
		*(const char **)member = (const char *)in;
		return left;
	case NO_FIELD:
		break;
	}
	return 0;
}

int wire_decode(const void *buffer, size_t size, struct wire_packet *packet)
{
	const unsigned char *in = buffer;
	enum wire_kind kind = 0;
	size_t used = MAGIC_SIZE;

	*packet = (struct wire_packet){ .kind = WIRE_KIND_COUNT };
	if (size < MAGIC_SIZE)
		return -EPROTO;
	while (kind < WIRE_KIND_COUNT && memcmp(in, layouts[kind].magic, MAGIC_SIZE) != 0)
		kind++;
	if (kind == WIRE_KIND_COUNT)
		return -EPROTO;
	packet->kind = kind;
	if (size > WIRE_PACKET_MAX)
		return -EINVAL;

	for (size_t i = 0; i < MAX_FIELDS && layouts[kind].fields[i].type != NO_FIELD; i++) {
		size_t length =
			decode_field(&layouts[kind].fields[i], in + used, size - used, packet);

		if (length == 0)
			return -EINVAL;
		used += length;
	}
	return used == size ? 0 : -EINVAL;
}

static size_t field_size(const struct field *field, const struct wire_packet *packet)
{
	switch (field->type) {
	case U16:
	case ZERO16:
		return sizeof(uint16_t);
	case U32:
		return sizeof(uint32_t);
	case STRING:
		return strlen(*(const char *const *)((const char *)packet + field->offset)) + 1;
	case NO_FIELD:
		break;
	}
	return 0;
}

static void encode_field(const struct field *field, const struct wire_packet *packet,
			 unsigned char *out, size_t size)
{
	const void *member = (const char *)packet + field->offset;
	uint16_t half = 0;
	uint32_t number;

	switch (field->type) {
	case U16:
		half = htobe16(*(const uint16_t *)member);
		__attribute__((fallthrough));
	case ZERO16:
		memcpy(out, &half, sizeof(half));
		break;
	case U32:
		number = htobe32(*(const uint32_t *)member);
		memcpy(out, &number, sizeof(number));
		break;
	case STRING:
		memcpy(out, *(const char *const *)member, size);
		break;
	case NO_FIELD:
		break;
	}
}

int wire_encode(const struct wire_packet *packet, void *buffer, size_t size)
{
	const struct layout *layout = &layouts[packet->kind];
	unsigned char *out = buffer;
	size_t used = MAGIC_SIZE;

	if (size > WIRE_PACKET_MAX)
		size = WIRE_PACKET_MAX;
	if (size < used)
		return -EMSGSIZE;
	memcpy(out, layout->magic, MAGIC_SIZE);
	for (size_t i = 0; i < MAX_FIELDS && layout->fields[i].type != NO_FIELD; i++) {
		size_t length = field_size(&layout->fields[i], packet);

		if (length > size - used)
			return -EMSGSIZE;
		encode_field(&layout->fields[i], packet, out + used, length);
		used += length;
	}
	return (int)used;
}

size_t wire_max_open_size(void)
{
	return MAGIC_SIZE + 4 * sizeof(uint32_t) + PATH_MAX;
}
