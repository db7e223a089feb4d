// SPDX-License-Identifier: LGPL-2.1-or-later
/* Exit with 0 if this machine has the 32-bit system calls of x86, with 1 if it does not. */
#include "../compat_calls.h"

int main(void)
{
	return has_compat_calls() ? 0 : 1;
}
