/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount.fuse3: what mount(8) calls for FUSE. Mounts through a service where there is one, and else
 * starts the server as libfuse's program of this name does.
 */
#include "applet.h"
#include "base/account.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/options.h"
#include "base/privs.h"
#include "base/strv.h"
#include "helper/exec_server.h"
#include "helper/mount_request.h"
#include "mount/mount_namespace.h"

#include "base/path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: mount.fuse3 SOURCE MOUNTPOINT -t TYPE [-sfnv] [-N NAMESPACE] [-o OPTIONS]\n"
	"       mount.fuse3 TYPE#[SOURCE] MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS]\n"
	"       mount.fuse3.TYPE SOURCE MOUNTPOINT ...\n"
	"\n"
	"Mounts through the service for TYPE if there is one that you may use; else it starts the\n"
	"program TYPE, which then runs as you, as libfuse's mount.fuse3 does. For mount(8).\n"
	"\n"
	"Options:\n"
	"  -t TYPE        the filesystem's type: NAME, fuse.NAME or fuseblk.NAME\n"
	"  -o OPTIONS     mount options, separated by commas; among them\n"
	"                 fsvc=require: a service or nothing; fsvc=never: no service;\n"
	"                 fsvc.timeout=SECONDS, fsvc.file=PATH: see fuservicemount3 --help;\n"
	"                 setuid=USER: mount as this user; drop_privileges: for a program that is\n"
	"                 started\n"
	"  -f             pretend: mount nothing\n"
	"  -n             keep no entry in user space's mount table\n"
	"  -N NAMESPACE   mount in this mount namespace: a process id, or a file\n"
	"  -s, -v         taken, and without a meaning\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"Exit code: 0 mounted; 1 wrong usage; 2 the system failed; 32 the mount failed; else that\n"
	"of the program that was started.\n";

enum wish { SERVICE_FIRST, SERVICE_ONLY, SERVICE_NEVER };

struct call {
	char *type, *source; /* the source is NULL where TYPE# has none */
	const char *mountpoint, *spelled_type, *namespace;
	char *user;
	char *server_options, *service_options; /* lists, or NULL */
	enum wish wish;
	bool fuseblk; /* by the program's name */
	bool fake, no_table, no_dev, no_suid, drop_privileges;
};

static void call_free(struct call *call)
{
	free(call->type);
	free(call->source);
	free(call->user);
	free(call->server_options);
	free(call->service_options);
}

#define _cleanup_call_ __attribute__((cleanup(call_free)))

/* Adds OPTION as it is spelled, backslashes and all: the server reads them. */
static int add(char **list, const char *option)
{
	return options_add_unescaped(list, option);
}

/* An option that is for this program alone. Returns 1, 0 if it is not, or a negative errno. */
static int take_own(struct call *call, const char *option)
{
	if (strncmp(option, "setuid=", 7) == 0) {
		free(call->user);
		call->user = option[7] ? strdup(option + 7) : NULL;
		return option[7] && !call->user ? -ENOMEM : 1;
	}
	if (strcmp(option, "drop_privileges") == 0)
		return call->drop_privileges = true;
	if (strncmp(option, "fsvc=", 5) != 0)
		return 0;
	if (strcmp(option + 5, "require") == 0)
		call->wish = SERVICE_ONLY;
	else if (strcmp(option + 5, "never") == 0)
		call->wish = SERVICE_NEVER;
	else
		return -EINVAL;
	return 1;
}

static int add_option(struct call *call, const char *option)
{
	int error = take_own(call, option);
	enum option_class class;

	if (error != 0)
		return error < 0 ? error : 0;
	class = option_find_rule(option)->class;
	call->no_dev |= strcmp(option, "nodev") == 0;
	call->no_suid |= strcmp(option, "nosuid") == 0;
	error = add(&call->service_options, option);
	/* With a value, "user" is an option of servers such as curlftpfs. */
	if (error < 0 || class == OPTION_HELPER ||
	    (class == OPTION_TABLE && strncmp(option, "user=", 5) != 0))
		return error;
	return add(&call->server_options, option);
}

/* Each option of LIST; a backslash keeps the comma behind it from ending one. */
static int add_options(struct call *call, const char *list)
{
	while (*list) {
		_cleanup_free_ char *option = NULL;
		size_t length = 0;
		int error;

		while (list[length] && list[length] != ',')
			length += list[length] == '\\' && list[length + 1] ? 2 : 1;
		option = strndup(list, length);
		error = !option ? -ENOMEM : length ? add_option(call, option) : 0;
		if (error < 0) {
			diag_error("-o %s: %s", option ? option : list,
				   error == -EINVAL ? "use fsvc=require or fsvc=never"
						    : strerror(-error));
			return error;
		}
		list += length + (list[length] == ',');
	}
	return 0;
}

/* A word of single letters, such as -sfnv. What is unknown is passed over, as in libfuse's. */
static void set_switches(struct call *call, const char *letters)
{
	if (letters[strspn(letters, "sfnv")] != '\0')
		return;
	call->fake |= strchr(letters, 'f') != NULL;
	call->no_table |= strchr(letters, 'n') != NULL;
}

/* The words behind source and mountpoint. */
static int read_options(struct call *call, int argc, char **argv)
{
	for (int i = 3; i < argc; i++) {
		const char *word = argv[i], *value;

		if (word[0] != '-' || !word[1])
			continue;
		if (!strchr("otN", word[1])) {
			set_switches(call, word + 1);
			continue;
		}
		value = word[2] ? word + 2 : argv[++i];
		if (!value) {
			diag_error("%s: its value is missing; see --help", word);
			return -EINVAL;
		}
		if (word[1] == 't')
			call->spelled_type = value;
		else if (word[1] == 'N')
			call->namespace = value;
		else if (add_options(call, value) < 0)
			return -EINVAL;
	}
	return 0;
}

/* What follows ".TYPE" in the name that the program was called by, or NULL. */
static const char *type_in_name(const char *name)
{
	const char *rest = strstr(path_basename(name), "mount.fuse");
	const char *dot = rest ? strchr(rest + strlen("mount.fuse"), '.') : NULL;

	return dot && dot[1] ? dot + 1 : NULL;
}

/* Sorts out what is the type and what the source. */
static int set_type(struct call *call, const char *name, const char *word)
{
	const char *type = call->spelled_type ? call->spelled_type : type_in_name(name);
	const char *hash = strchr(word, '#');

	if (type) {
		type += strncmp(type, "fuse.", 5) == 0      ? 5
			: strncmp(type, "fuseblk.", 8) == 0 ? 8
							    : 0;
		call->type = strdup(type);
		call->source = *word ? strdup(word) : NULL;
	} else {
		call->type = hash ? strndup(word, (size_t)(hash - word)) : strdup(word);
		call->source = hash ? strdup(hash + 1) : NULL;
	}
	if (!call->type || !call->type[0]) {
		diag_error("no type in '%s': use -t TYPE or TYPE#SOURCE; see --help", word);
		return -EINVAL;
	}
	return 0;
}

static int parse(struct call *call, int argc, char **argv)
{
	if (argc < 3) {
		diag_error("no %s: mount.fuse3 SOURCE MOUNTPOINT -t TYPE; see --help",
			   argc < 2 ? "source" : "mountpoint");
		return -EINVAL;
	}
	call->mountpoint = argv[2];
	call->fuseblk = strstr(argv[0], "mount.fuseblk") != NULL;
	if (read_options(call, argc, argv) < 0)
		return -EINVAL;
	return set_type(call, argv[0], argv[1]);
}

/* The command line that fuservicemount3 would have for the same mount. */
static enum helper_exit_status mount_by_service(const struct call *call)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_mount_args_ struct mount_args args = { 0 };
	const char *wrong = NULL;

	strv_add(&words, call->type);
	if (call->service_options) {
		strv_add(&words, "-o");
		strv_add(&words, call->service_options);
	}
	if (call->no_table)
		strv_add(&words, "-n");
	strv_add(&words, "-t");
	strv_add(&words, call->spelled_type ? call->spelled_type : call->type);
	if (call->fuseblk && !call->spelled_type) {
		strv_add(&words, "-o");
		strv_add(&words, "blkdev");
	}
	/* Places that begin with a dash are places all the same. */
	if (call->source[0] == '-' || call->mountpoint[0] == '-')
		strv_add(&words, "--");
	strv_add(&words, call->source);
	strv_add(&words, call->mountpoint);
	if (words.failed || mount_args_parse((int)words.count, (const char *const *)words.argv,
					     &args, &wrong) < 0) {
		diag_error("cannot use these arguments: %s", wrong ? wrong : "no memory");
		return HELPER_EXIT_FAILED;
	}
	return mount_request_run(&args, call->wish != SERVICE_ONLY);
}

static bool may_use_service(const struct call *call)
{
	const char *subtype = mount_args_subtype(call->type);

	return call->source && subtype && strcmp(subtype, call->type) == 0 &&
	       (call->wish == SERVICE_ONLY || mount_request_has_service(subtype) != 0);
}

static int mount_if_there_is_one(void *argument)
{
	const struct call *call = argument;

	return (int)(may_use_service(call) ? mount_by_service(call) : HELPER_EXIT_NO_SERVICE);
}

/* The user of setuid= is who mounts: theirs is the mount, and what they may not open is not opened.
 * With no service for them it is still root who starts the server. */
static enum helper_exit_status mount_for_user(struct call *call)
{
	const struct passwd *user = account_by_name(call->user);
	int result = user ? privs_run_as_user(user->pw_name, user->pw_uid, user->pw_gid,
					      mount_if_there_is_one, call)
			  : -ENOENT;

	if (result >= 0)
		return (enum helper_exit_status)result;
	diag_error("setuid=%s: %s", call->user, user ? strerror(-result) : "there is no such user");
	return HELPER_EXIT_FAILED;
}

/* A service, if it is to be one and is there. */
static enum helper_exit_status try_service(struct call *call)
{
	if (call->wish != SERVICE_NEVER && may_use_service(call))
		return call->user ? mount_for_user(call) : mount_by_service(call);
	if (call->wish == SERVICE_ONLY)
		diag_error("fsvc=require: %s%s",
			   call->source ? "no service can be called " : "no source for ",
			   call->type);
	return HELPER_EXIT_NO_SERVICE;
}

static int start_server(struct call *call)
{
	/* mount(8) leaves these out where they hold, and a server's default is the other way. */
	if ((!call->no_dev && add(&call->server_options, "dev") < 0) ||
	    (!call->no_suid && add(&call->server_options, "suid") < 0)) {
		diag_error("no memory");
		return MOUNT_EXIT_SYSTEM;
	}
	return exec_server(&(struct exec_server){
		.type = call->type,
		.source = call->source,
		.mountpoint = call->mountpoint,
		.options = call->server_options,
		.user = call->user,
		.drop_privileges = call->drop_privileges,
	});
}

static int run(int argc, char **argv)
{
	_cleanup_call_ struct call call = { 0 };
	enum helper_exit_status result;

	if (parse(&call, argc, argv) < 0)
		return MOUNT_EXIT_USAGE;
	if (call.namespace && mount_namespace_enter(call.namespace) < 0)
		return MOUNT_EXIT_USAGE;
	if (call.fake)
		return 0;
	result = try_service(&call);
	if (result == HELPER_EXIT_NO_SERVICE && call.wish != SERVICE_ONLY)
		return start_server(&call);
	return result == HELPER_EXIT_MOUNTED ? 0 : MOUNT_EXIT_FAILED;
}

static const char *const aliases[] = { "mount.fuse", "mount.fuse3", "mount.fuseblk", NULL };

const struct applet applet_mount_fuse3 = {
	.name = "mount.fuse3",
	.aliases = aliases,
	.run = run,
	.mounts = true,
	.summary = "mounts FUSE filesystems for mount(8), through a service if there is one",
	.help = help,
};
