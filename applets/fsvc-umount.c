/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-umount: unmounts FUSE filesystems, and waits until what was written is where it belongs.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "mount/busy_processes.h"
#include "mount/mount_namespace.h"
#include "mount/unmount.h"

#include "base/array.h"
#include "base/parse.h"
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: fsvc-umount [-lfq] [-t SECONDS] TARGET|SOURCE...\n"
	"       umount.fuse3 TARGET [-flnrv] [-t TYPE] [-N NAMESPACE]\n"
	"\n"
	"Unmounts FUSE filesystems, by mountpoint or by source, and waits until the server has\n"
	"written everything back and is gone. The second form is for umount(8).\n"
	"\n"
	"Options:\n"
	"  -l             lazily: out of sight at once, ended when nobody uses it any more; no "
	"wait\n"
	"  -f             by force, for a server that hangs: what is not written yet is lost; no "
	"wait\n"
	"  -q             say nothing, the exit code tells\n"
	"  -t SECONDS     wait no longer than this for the server; 0: not at all\n"
	"  -N NAMESPACE   unmount in this mount namespace: a process id, or a file\n"
	"  -n, -r, -v     taken, and without a meaning\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"Exit code: 0 unmounted; 1 wrong usage, or not yours to unmount; 2 the system failed;\n"
	"8 unmounted, and interrupted while the server was still writing; 32 not unmounted, or the\n"
	"server still there after -t SECONDS; 64 some of several failed.\n";

/* Those of umount(8). */
enum {
	DONE = 0,
	USAGE = 1,
	SYSTEM = 2,
	INTERRUPTED = 8,
	FAILED = 32,
	SOME_FAILED = 64,
};

#define LONGEST_HOLDER 512

struct call {
	int ways;
	unsigned int seconds;  /* to wait for the server */
	bool waits_for_ever;   /* the command line gives no time */
	bool quiet, by_umount; /* called as umount(8) does it */
	const char **places;   /* NULL-terminated; in argv */
	const char *namespace;
};

static int read_seconds(struct call *call, const char *value)
{
	if (parse_seconds(value, 0, &call->seconds) == 0) {
		call->waits_for_ever = false;
		return 0;
	}
	diag_error("-t wants 0 to %d seconds, and not '%s'", MAX_SECONDS, value);
	return -EINVAL;
}

/* The value of the option LETTER; NULL where the command line has none. */
static int set_value(struct call *call, char letter, const char *value)
{
	if (!value) {
		diag_error("-%c: its value is missing; see --help", letter);
		return -EINVAL;
	}
	if (letter == 'N')
		call->namespace = value;
	/* umount(8) says the filesystem's type by -t. */
	else if (!call->by_umount)
		return read_seconds(call, value);
	return 0;
}

/* A word of single letters, the last of which may want a value, *NEXT. Returns the words used up.
 */
static int read_switches(struct call *call, const char *letters, const char *next)
{
	for (; *letters; letters++) {
		const char *value = letters[1] ? letters + 1 : next;

		switch (*letters) {
		case 'l':
			call->ways |= UNMOUNT_LAZY;
			break;
		case 'f':
			call->ways |= UNMOUNT_FORCE;
			break;
		case 'q':
			call->quiet = true;
			break;
		case 'n':
		case 'r':
		case 'v':
			break;
		case 'N':
		case 't':
			if (set_value(call, *letters, value) < 0)
				return -EINVAL;
			return letters[1] ? 1 : 2;
		default:
			/* The whole word, where it looks like a long one. */
			diag_error("-%.*s: there is no such option; see --help",
				   *letters == '-' ? (int)strlen(letters) : 1, letters);
			return -EINVAL;
		}
	}
	return 1;
}

/* Leaves the places in argv, from its second word on. */
static int parse(struct call *call, int argc, char **argv)
{
	int count = 0;

	call->places = (const char **)argv + 1;
	for (int i = 1, used; i < argc; i += used) {
		used = 1;
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc)
				call->places[count++] = argv[i];
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1])
			call->places[count++] = argv[i];
		else
			used = read_switches(call, argv[i] + 1, argv[i + 1]);
		if (used < 0)
			return used;
	}
	call->places[count] = NULL;
	if (count > 0)
		return 0;
	diag_error("nothing to unmount: fsvc-umount TARGET; see --help");
	return -EINVAL;
}

/* ", process 123,", where it is known. */
static const char *name_server(const struct unmount *unmount, char name[32])
{
	name[0] = '\0';
	if (unmount->server.pid > 0)
		snprintf(name, 32, ", process %d,", unmount->server.pid);
	return name;
}

static void tell_of_server(const struct unmount *unmount)
{
	char name[32];

	if (isatty(STDERR_FILENO))
		diag_error("waiting for the server of %s%s to write everything back (Ctrl-C: it "
			   "goes on by itself)",
			   unmount->mount.target, name_server(unmount, name));
}

/* What was wrong with PLACE before anything was done. */
static int complain(const struct call *call, const char *place, const struct unmount *unmount,
		    int error)
{
	static const struct {
		int error, code;
		const char *text;
	} words[] = {
		{ EINVAL, FAILED, "is not mounted" },
		{ ENOTUNIQ, FAILED, "is mounted in several places: name one of them" },
		{ EMEDIUMTYPE, USAGE, "is not a FUSE mount: use umount" },
		{ EPERM, USAGE, "is not yours to unmount" },
		{ ESTALE, FAILED, "has changed meanwhile: try again" },
	};
	char holders[LONGEST_HOLDER];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].error == -error) {
			if (!call->quiet)
				diag_error("%s %s", place, words[i].text);
			return words[i].code;
		}
	if (!call->quiet && error == -EBUSY) {
		busy_processes_describe(&unmount->mount, holders, sizeof(holders));
		diag_error("cannot unmount %s: in use by %s; -l takes it out of sight", place,
			   holders[0] ? holders : "somebody whom you may not know of");
	} else if (!call->quiet) {
		diag_error("cannot unmount %s: %s", place, strerror(-error));
	}
	return FAILED;
}

static int wait_for_server(const struct call *call, const struct unmount *unmount, int interrupt)
{
	unsigned int seconds = call->seconds;
	char name[32];
	int error;

	if (call->waits_for_ever)
		seconds = call->ways == UNMOUNT_NORMAL ? MAX_SECONDS : 0;
	if (seconds == 0)
		return DONE;
	do
		error = unmount_wait(unmount, deadline_in(seconds), interrupt,
				     call->quiet ? NULL : tell_of_server);
	while (error == -ETIMEDOUT && call->waits_for_ever);
	if (error == 0)
		return DONE;
	if (!call->quiet)
		diag_error("%s is unmounted, but its server%s has not written everything back%s",
			   unmount->mount.target, name_server(unmount, name),
			   error == -EINTR ? " yet" : " in time");
	return error == -EINTR ? INTERRUPTED : FAILED;
}

/* The first round: a signal ends it as it ends any program. */
static int unmount_one(const struct call *call, const char *place, struct unmount *unmount)
{
	int error;

	*unmount = UNMOUNT_NONE;
	error = unmount_find(place, unmount);
	if (error == 0)
		error = unmount_run(unmount, call->ways);
	return error < 0 ? complain(call, place, unmount, error) : DONE;
}

/* All servers write at the same time, and then all are waited for. */
static int unmount_all(const struct call *call, struct unmount *unmounts, int *codes)
{
	int interrupt, failed = 0, last = DONE, i;

	for (i = 0; call->places[i]; i++)
		codes[i] = unmount_one(call, call->places[i], &unmounts[i]);
	interrupt = interrupt_open();
	if (interrupt < 0) {
		diag_error("cannot prepare for signals: %s", strerror(-interrupt));
		return SYSTEM;
	}
	for (i = 0; call->places[i]; i++) {
		if (codes[i] == DONE && last != INTERRUPTED)
			codes[i] = wait_for_server(call, &unmounts[i], interrupt);
		failed += codes[i] != DONE;
		if (codes[i] != DONE && last != INTERRUPTED)
			last = codes[i];
		unmount_free(&unmounts[i]);
	}
	close(interrupt);
	return failed > 0 && failed < i && last != INTERRUPTED ? SOME_FAILED : last;
}

static bool is_called_by_umount(const char *path)
{
	return strncmp(path_basename(path), "umount.", strlen("umount.")) == 0;
}

static int run(int argc, char **argv)
{
	struct call call = { .waits_for_ever = true, .by_umount = is_called_by_umount(argv[0]) };
	_cleanup_free_ struct unmount *unmounts = NULL;
	_cleanup_free_ int *codes = NULL;

	if (parse(&call, argc, argv) < 0)
		return USAGE;
	if (call.namespace && mount_namespace_enter(call.namespace) < 0)
		return USAGE;
	unmounts = calloc((size_t)argc, sizeof(*unmounts));
	codes = calloc((size_t)argc, sizeof(*codes));
	if (!unmounts || !codes) {
		diag_error("no memory");
		return SYSTEM;
	}
	return unmount_all(&call, unmounts, codes);
}

static const char *const aliases[] = { "umount.fuse", "umount.fuse3", "umount.fuseblk", NULL };

const struct applet applet_fsvc_umount = {
	.name = "fsvc-umount",
	.aliases = aliases,
	.run = run,
	.mounts = true,
	.summary = "unmounts, and waits until everything is written back",
	.help = help,
};
