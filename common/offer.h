/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fsvc-listen offers: a type of filesystem, the server for it, and how that one is run. It is
 * a command line, or a line of a file: [OPTIONS] TYPE -- SERVER [ARGUMENTS].
 */
#pragma once

#include "containlimits.h"
#include "words.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct offer {
	char *type;
	struct words server;
	struct words opener; /* options for fsvc-open */
	struct words paths;  /* more of the disk that the server sees */
	bool service;        /* the server is one by itself, and needs no fsvc-open */
	bool as_itself;      /* the server knows who it is, and not who mounts */
	bool root_filesystem;
	unsigned int most, most_of_user; /* mounts at a time */
	struct limits limits;
	uint32_t allowed; /* the pieces of contain.h that may be missing, a bit each */
};

/* What is not said otherwise. */
#define OFFER_DEFAULT                                                                              \
	((struct offer){ .most = 4096,                                                             \
			 .most_of_user = 1024,                                                     \
			 .limits = { .memory = 1 << 30, .processes = 256 } })

struct offers {
	struct offer *list;
	size_t count;
};

/*
 * Adds the offer that WORDS, COUNT of them, are. WHERE: what a message begins with, "FILE:LINE: "
 * or "". Returns 0, or a negative errno after a message.
 */
int offers_add(struct offers *offers, char *const *words, size_t count, const char *where);

/*
 * Adds those that FILE, named NAME, has: one a line, its words separated by spaces and tabs; empty
 * lines and what follows a word that begins with '#' are nothing. The same.
 */
int offers_read(struct offers *offers, FILE *file, const char *name);

void offers_free(struct offers *offers);
