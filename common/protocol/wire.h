/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packets of the FUSE service protocol, version 1: bytes in, structs out, and the reverse, for
 * helper and server alike. Nobody else knows a magic number, a byte order or an offset.
 *
 * Decoding is strict: the exact size, one NUL and that at the end, padding zero. A decoded packet
 * points into the buffer that it came from.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1

/* The largest packet. */
#define WIRE_PACKET_MAX 65536

/* The names of the two descriptors that the handshake ends with. */
#define WIRE_ARGV_NAME    "argv"
#define WIRE_FUSEDEV_NAME "fusedev"

/* The path in the answer to an OPEN or BDEV that could not be read. */
#define WIRE_UNKNOWN_PATH "?"

enum {
	/* in HELLO */
	WIRE_HELLO_ALLOW_OTHER = 1 << 0,
	WIRE_HELLO_FUSEBLK = 1 << 1,
	WIRE_HELLO_ALL = WIRE_HELLO_ALLOW_OTHER | WIRE_HELLO_FUSEBLK,
	/* in OPEN and BDEV */
	WIRE_REQUEST_QUIET = 1 << 0,
	/* in TYPE */
	WIRE_TYPE_FUSEBLK = 1 << 0,
};

enum wire_kind {
	WIRE_HELLO,
	WIRE_HELLO_REPLY,
	WIRE_FILE,
	WIRE_OPEN,
	WIRE_BDEV,
	WIRE_TYPE,
	WIRE_NAME,
	WIRE_MOUNTPOINT,
	WIRE_OPTIONS,
	WIRE_TABLE,
	WIRE_MOUNT,
	WIRE_UNMOUNT,
	WIRE_GOODBYE,
	WIRE_REPLY,
	WIRE_KIND_COUNT
};

/* One packet; which of the members hold something is in the table of wire.c. */
struct wire_packet {
	enum wire_kind kind;
	union {
		uint32_t flags;      /* HELLO, TYPE, MOUNT */
		uint32_t error;      /* FILE, REPLY: a positive errno, 0 for none */
		uint32_t exitcode;   /* GOODBYE */
		uint32_t open_flags; /* OPEN, BDEV */
	};
	uint32_t create_mode, request_flags, block_size; /* OPEN, BDEV */
	union {
		uint16_t min_version; /* HELLO */
		uint16_t version;     /* HELLO_REPLY */
		uint16_t format;      /* MOUNTPOINT: S_IFDIR, S_IFREG or 0 */
	};
	uint16_t max_version; /* HELLO */
	/* FILE, OPEN, BDEV: a path; NAME: the source; MOUNTPOINT; OPTIONS, TABLE: comma-separated
	 */
	const char *text;
};

/*
 * Reads the packet of SIZE bytes at BUFFER. PACKET->text points into BUFFER.
 * Returns 0; -EPROTO where the magic is none of this protocol; -EINVAL where it is, and
 * PACKET->kind is set, but the rest is malformed.
 */
int wire_decode(const void *buffer, size_t size, struct wire_packet *packet);

/*
 * Writes PACKET to BUFFER of SIZE bytes.
 * Returns the packet's size, or -EMSGSIZE where it does not fit, or is more than WIRE_PACKET_MAX.
 */
int wire_encode(const struct wire_packet *packet, void *buffer, size_t size);

/* What the packet is called in messages: "OPEN". */
const char *wire_packet_name(enum wire_kind kind);

/* The size of an OPEN whose path takes PATH_MAX bytes: what a socket must be able to hold. */
size_t wire_max_open_size(void);
