/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers in command lines and options. Only decimal digits are accepted: no sign, no space.
 */
#pragma once

/* The longest time that any option accepts, in seconds: one day. */
#define MAX_SECONDS 86400

/*
 * Parse all of TEXT as a number of at most MAX into *NUMBERP.
 * Return 0, or -EINVAL and leave *NUMBERP unchanged.
 */
int parse_number(const char *text, unsigned int max, unsigned int *numberp);

/* Parse a time in whole seconds, MIN to MAX_SECONDS, likewise. */
int parse_seconds(const char *text, unsigned int min, unsigned int *secondsp);
