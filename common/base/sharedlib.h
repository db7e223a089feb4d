/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Libraries that are loaded when they are needed: few mounts need them, and each is larger than
 * this program. A struct lists the functions in use, by their own names and types:
 *
 *	#define FUNCTIONS(FUNCTION) FUNCTION(sd_bus_open_system) FUNCTION(sd_bus_unref)
 *	struct libsystemd { void *library; FUNCTIONS(SHAREDLIB_MEMBER) };
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#define SHAREDLIB_MEMBER(name) __typeof__(name) *(name);

/* In a function that returns -ENOSYS for what is missing: looks the function up for *LIB. */
#define SHAREDLIB_LOOK_UP(name)                                                                    \
	lib->name = (__typeof__(lib->name))dlsym(lib->library, #name);                             \
	if (!lib->name)                                                                            \
		return -ENOSYS;

/* Loads by soname; in a set-user-ID program the loader looks in the system's directories alone. */
static inline int sharedlib_load(void **libraryp, const char *soname)
{
	*libraryp = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	return *libraryp ? 0 : -ENOSYS;
}
