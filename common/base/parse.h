/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of numbers in command lines and options. Only decimal digits are accepted: no sign, no
 * spaces.
 */
#pragma once

/* The maximum of all time options, in seconds: one day. */
#define MAX_SECONDS 86400

/*
 * Parse TEXT as a number from 0 to MAX into *NUMBERP. Return 0; or -EINVAL, and *NUMBERP is
 * unchanged.
 */
int parse_number(const char *text, unsigned int max, unsigned int *numberp);

/* Parse TEXT as a number of seconds from MIN to MAX_SECONDS, in the same way. */
int parse_seconds(const char *text, unsigned int min, unsigned int *secondsp);
