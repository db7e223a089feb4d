/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packets of the FUSE service protocol, version 1: encoding and decoding, for helper and
 * service. No other module knows magic numbers, byte order or offsets.
 *
 * Decoding is strict: the size must be exact, a string must end with the packet and contain no
 * other NUL, and padding must be zero. A decoded packet points into the buffer.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1

/* The maximum packet size. */
#define WIRE_PACKET_MAX 65536

/* The names of the two file descriptors that end the handshake. */
#define WIRE_ARGV_NAME    "argv"
#define WIRE_FUSEDEV_NAME "fusedev"

/* The path in the reply to an OPEN or BDEV with an unreadable path. */
#define WIRE_UNKNOWN_PATH "?"

enum {
	/* flags of HELLO */
	WIRE_HELLO_ALLOW_OTHER = 1 << 0,
	WIRE_HELLO_FUSEBLK = 1 << 1,
	WIRE_HELLO_ALL = WIRE_HELLO_ALLOW_OTHER | WIRE_HELLO_FUSEBLK,
	/* request flags of OPEN and BDEV */
	WIRE_REQUEST_QUIET = 1 << 0,
	/* flags of TYPE */
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

/* A packet. The table in wire.c lists the members that each kind uses. */
struct wire_packet {
	enum wire_kind kind;
	union {
		uint32_t flags;      /* HELLO, TYPE, MOUNT */
		uint32_t error;      /* FILE, REPLY: a positive errno, or 0 */
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
	/*
	 * FILE, OPEN, BDEV: a path; NAME: the source; MOUNTPOINT: a path; OPTIONS, TABLE: a
	 * comma-separated list
	 */
	const char *text;
};

/*
 * Decode the packet of SIZE bytes at BUFFER. PACKET->text points into BUFFER. Return 0; -EPROTO if
 * the magic is unknown; or -EINVAL, and PACKET->kind is set, if the rest is malformed.
 */
int wire_decode(const void *buffer, size_t size, struct wire_packet *packet);

/*
 * Encode PACKET to BUFFER of SIZE bytes. Return the packet's size, or -EMSGSIZE if it does not fit
 * or exceeds WIRE_PACKET_MAX.
 */
int wire_encode(const struct wire_packet *packet, void *buffer, size_t size);

/* Return the name of the packet for messages, such as "OPEN". */
const char *wire_packet_name(enum wire_kind kind);

/* Return the size of an OPEN with a path of PATH_MAX bytes. The socket must accept it. */
size_t wire_max_open_size(void);
