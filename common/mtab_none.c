/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the place of mtab.c where the mount table is to be the kernel's alone (-Dmount_table=false).
 */
#include "mtab.h"

#include <errno.h>

int mtab_add(const struct mtab_entry *entry)
{
	(void)entry;
	return 0;
}

void mtab_remove(const char *target, const char *option)
{
	(void)target, (void)option;
}

int mtab_find_server(const char *target, struct process *server)
{
	(void)target;
	*server = (struct process){ 0 };
	return -ENOENT;
}

int mtab_each_server(void (*take)(void *argument, const struct mtab_entry *entry), void *argument)
{
	(void)take, (void)argument;
	return 0;
}
