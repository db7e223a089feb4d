/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared libraries that are loaded only when they are needed. A struct has a function pointer for
 * each function in use. Its name and type are those of the function:
 *
 *         #define FUNCTIONS(FUNCTION) FUNCTION(sd_bus_open_system) FUNCTION(sd_bus_unref)
 *         struct libsystemd { void *library; FUNCTIONS(SHAREDLIB_MEMBER) };
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#define SHAREDLIB_MEMBER(name) __typeof__(name) *(name);

/*
 * Set the member NAME of *LIB to the function NAME of the library. If the library does not have it,
 * return -ENOSYS from the calling function.
 */
#define SHAREDLIB_LOOK_UP(name)                                                                    \
	lib->name = (__typeof__(lib->name))dlsym(lib->library, #name);                             \
	if (!lib->name)                                                                            \
		return -ENOSYS;

/*
 * Load the library SONAME into *LIBRARYP. In a set-user-ID program the dynamic loader searches only
 * the system directories. Return 0 or -ENOSYS.
 */
static inline int sharedlib_load(void **libraryp, const char *soname)
{
	*libraryp = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	return *libraryp ? 0 : -ENOSYS;
}
