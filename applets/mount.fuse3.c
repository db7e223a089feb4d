/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount.fuse3: the mount helper that mount(8) runs for FUSE. It mounts through a service if there
 * is one; otherwise it executes the server like libfuse's program of this name. Its exit statuses
 * are enum mount_exit_status.
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
	"Mount through the service for TYPE if there is one that you may use. Otherwise execute\n"
	"the program TYPE with your rights, like libfuse's mount.fuse3. This is for mount(8).\n"
	"\n"
	"Options:\n"
	"  -t TYPE        filesystem type: NAME, fuse.NAME or fuseblk.NAME\n"
	"  -o OPTIONS     comma-separated mount options, including\n"
	"                 fsvc=require: fail if there is no service;\n"
	"                 fsvc=never: do not use a service;\n"
	"                 fsvc.timeout=SECONDS, fsvc.file=PATH: see 'fuservicemount3 --help';\n"
	"                 setuid=USER: mount as this user;\n"
	"                 drop_privileges: execute the server without privileges\n"
	"  -f             fake: do not mount\n"
	"  -n             do not write to the mount table of user space (utab)\n"
	"  -N NAMESPACE   mount in this mount namespace: a process ID or a file\n"
	"  -s, -v         ignored\n"
	"  --help         print this help and exit\n"
	"  --version      print the version and exit\n"
	"\n"
	"Exit status: 0 mounted; 1 incorrect invocation or permissions; 2 system error; 32 mount\n"
	"failure; otherwise that of the server.\n";

enum service_mode { SERVICE_PREFERRED, SERVICE_REQUIRED, SERVICE_NEVER };

struct parsed_args {
	char *type, *source; /* source is NULL if missing after TYPE# */
	const char *mountpoint, *type_option, *namespace;
	char *user;
	char *server_options, *service_options; /* comma-separated, or NULL */
	enum service_mode mode;
	bool fuseblk; /* run as mount.fuseblk */
	bool is_fake, no_utab, no_dev, no_suid, drop_privileges;
};

static void parsed_args_free(struct parsed_args *args)
{
	free(args->type);
	free(args->source);
	free(args->user);
	free(args->server_options);
	free(args->service_options);
}

#define _cleanup_parsed_args_ __attribute__((cleanup(parsed_args_free)))

/* Append OPTION without changing its backslashes, which the server interprets. */
static int append_option(char **list, const char *option)
{
	return options_add_unescaped(list, option);
}

/* Apply an option for this program. Return 1, 0 if it is for others, or a negative errno. */
static int set_own_option(struct parsed_args *args, const char *option)
{
	if (strncmp(option, "setuid=", 7) == 0) {
		free(args->user);
		args->user = option[7] ? strdup(option + 7) : NULL;
		return option[7] && !args->user ? -ENOMEM : 1;
	}
	if (strcmp(option, "drop_privileges") == 0)
		return args->drop_privileges = true;
	if (strncmp(option, "fsvc=", 5) != 0)
		return 0;
	if (strcmp(option + 5, "require") == 0)
		args->mode = SERVICE_REQUIRED;
	else if (strcmp(option + 5, "never") == 0)
		args->mode = SERVICE_NEVER;
	else
		return -EINVAL;
	return 1;
}

static int add_option(struct parsed_args *args, const char *option)
{
	int error = set_own_option(args, option);
	enum option_class class;

	if (error != 0)
		return error < 0 ? error : 0;
	class = option_find_rule(option)->class;
	args->no_dev |= strcmp(option, "nodev") == 0;
	args->no_suid |= strcmp(option, "nosuid") == 0;
	error = append_option(&args->service_options, option);
	/* user=NAME is also an option of servers such as curlftpfs. */
	if (error < 0 || class == OPTION_HELPER ||
	    (class == OPTION_TABLE && strncmp(option, "user=", 5) != 0))
		return error;
	return append_option(&args->server_options, option);
}

/* Apply each option of LIST. A backslash escapes the comma after it. */
static int add_options(struct parsed_args *args, const char *list)
{
	while (*list) {
		_cleanup_free_ char *option = NULL;
		size_t length = 0;
		int error;

		while (list[length] && list[length] != ',')
			length += list[length] == '\\' && list[length + 1] ? 2 : 1;
		option = strndup(list, length);
		error = !option ? -ENOMEM : length ? add_option(args, option) : 0;
		if (error < 0) {
			if (error == -EINVAL)
				diag_usage_error("invalid option '%s': expected fsvc=require or "
						 "fsvc=never",
						 option);
			else
				diag_error("out of memory");
			return error;
		}
		list += length + (list[length] == ',');
	}
	return 0;
}

/* Apply a group of option letters, such as -sfnv. Like libfuse, ignore unknown letters. */
static void set_flag_options(struct parsed_args *args, const char *letters)
{
	if (letters[strspn(letters, "sfnv")] != '\0')
		return;
	args->is_fake |= strchr(letters, 'f') != NULL;
	args->no_utab |= strchr(letters, 'n') != NULL;
}

/* Parse the arguments after source and mountpoint. */
static int parse_options(struct parsed_args *args, int argc, char **argv)
{
	for (int i = 3; i < argc; i++) {
		const char *argument = argv[i], *value;

		if (argument[0] != '-' || !argument[1])
			continue;
		if (!strchr("otN", argument[1])) {
			set_flag_options(args, argument + 1);
			continue;
		}
		value = argument[2] ? argument + 2 : argv[++i];
		if (!value) {
			diag_usage_error("option '%s' requires an argument", argument);
			return -EINVAL;
		}
		if (argument[1] == 't')
			args->type_option = value;
		else if (argument[1] == 'N')
			args->namespace = value;
		else if (add_options(args, value) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Return the part of the program name after "mount.fuse" and a dot, or NULL. */
static const char *type_in_name(const char *name)
{
	const char *rest = strstr(path_basename(name), "mount.fuse");
	const char *dot = rest ? strchr(rest + strlen("mount.fuse"), '.') : NULL;

	return dot && dot[1] ? dot + 1 : NULL;
}

/* Determine type and source from the first operand. */
static int set_type(struct parsed_args *args, const char *name, const char *operand)
{
	const char *type = args->type_option ? args->type_option : type_in_name(name);
	const char *hash = strchr(operand, '#');

	if (type) {
		type += strncmp(type, "fuse.", 5) == 0      ? 5
			: strncmp(type, "fuseblk.", 8) == 0 ? 8
							    : 0;
		args->type = strdup(type);
		args->source = *operand ? strdup(operand) : NULL;
	} else {
		args->type = hash ? strndup(operand, (size_t)(hash - operand)) : strdup(operand);
		args->source = hash ? strdup(hash + 1) : NULL;
	}
	if (!args->type || !args->type[0]) {
		diag_usage_error("missing filesystem type in '%s'", operand);
		return -EINVAL;
	}
	return 0;
}

static int parse_arguments(struct parsed_args *args, int argc, char **argv)
{
	if (argc < 3) {
		if (argc < 2)
			diag_usage_error("missing operand");
		else
			diag_usage_error("missing operand after '%s'", argv[1]);
		return -EINVAL;
	}
	args->mountpoint = argv[2];
	args->fuseblk = strstr(argv[0], "mount.fuseblk") != NULL;
	if (parse_options(args, argc, argv) < 0)
		return -EINVAL;
	return set_type(args, argv[0], argv[1]);
}

/* Mount with the command line that fuservicemount3 would have. */
static enum helper_exit_status mount_by_service(const struct parsed_args *args)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_mount_args_ struct mount_args mount_args = { 0 };
	const char *invalid = NULL;

	strv_add(&argv, args->type);
	if (args->service_options) {
		strv_add(&argv, "-o");
		strv_add(&argv, args->service_options);
	}
	if (args->no_utab)
		strv_add(&argv, "-n");
	strv_add(&argv, "-t");
	strv_add(&argv, args->type_option ? args->type_option : args->type);
	if (args->fuseblk && !args->type_option) {
		strv_add(&argv, "-o");
		strv_add(&argv, "blkdev");
	}
	/* An operand may begin with a dash. */
	if (args->source[0] == '-' || args->mountpoint[0] == '-')
		strv_add(&argv, "--");
	strv_add(&argv, args->source);
	strv_add(&argv, args->mountpoint);
	if (argv.failed || mount_args_parse((int)argv.count, (const char *const *)argv.argv,
					    &mount_args, &invalid) < 0) {
		diag_error("cannot parse the command line: %s",
			   invalid ? invalid : "out of memory");
		return HELPER_EXIT_FAILED;
	}
	return mount_request_run(&mount_args, args->mode != SERVICE_REQUIRED);
}

static bool may_use_service(const struct parsed_args *args)
{
	const char *subtype = mount_args_subtype(args->type);

	return args->source && subtype && strcmp(subtype, args->type) == 0 &&
	       (args->mode == SERVICE_REQUIRED || mount_request_has_service(subtype) != 0);
}

static int mount_as_user(void *argument)
{
	const struct parsed_args *args = argument;

	return (int)(may_use_service(args) ? mount_by_service(args) : HELPER_EXIT_NO_SERVICE);
}

/*
 * With setuid=USER, mount as that user, with the user's rights on files. If there is no service,
 * root executes the server.
 */
static enum helper_exit_status mount_for_user(struct parsed_args *args)
{
	const struct passwd *user = account_by_name(args->user);
	int result = user ? privs_run_as_user(user->pw_name, user->pw_uid, user->pw_gid,
					      mount_as_user, args)
			  : -ENOENT;

	if (result >= 0)
		return (enum helper_exit_status)result;
	diag_error("setuid=%s: %s", args->user, user ? strerror(-result) : "no such user");
	return HELPER_EXIT_FAILED;
}

/* Mount through a service if options allow it and there is one. */
static enum helper_exit_status try_service(struct parsed_args *args)
{
	if (args->mode != SERVICE_NEVER && may_use_service(args))
		return args->user ? mount_for_user(args) : mount_by_service(args);
	if (args->mode == SERVICE_REQUIRED)
		diag_error("fsvc=require: %s%s",
			   args->source ? "invalid service name: " : "missing source for type ",
			   args->type);
	return HELPER_EXIT_NO_SERVICE;
}

static int start_server(struct parsed_args *args)
{
	/*
	 * mount(8) omits the options dev and suid, but the defaults of servers are nodev and
	 * nosuid.
	 */
	if ((!args->no_dev && append_option(&args->server_options, "dev") < 0) ||
	    (!args->no_suid && append_option(&args->server_options, "suid") < 0)) {
		diag_error("out of memory");
		return MOUNT_EXIT_SYSTEM;
	}
	return exec_server(&(struct exec_server){
		.type = args->type,
		.source = args->source,
		.mountpoint = args->mountpoint,
		.options = args->server_options,
		.user = args->user,
		.drop_privileges = args->drop_privileges,
	});
}

static int run(int argc, char **argv)
{
	_cleanup_parsed_args_ struct parsed_args args = { 0 };
	enum helper_exit_status result;

	if (parse_arguments(&args, argc, argv) < 0)
		return MOUNT_EXIT_USAGE;
	if (args.namespace && mount_namespace_enter(args.namespace) < 0)
		return MOUNT_EXIT_USAGE;
	if (args.is_fake)
		return 0;
	result = try_service(&args);
	if (result == HELPER_EXIT_NO_SERVICE && args.mode != SERVICE_REQUIRED)
		return start_server(&args);
	return result == HELPER_EXIT_MOUNTED ? 0 : MOUNT_EXIT_FAILED;
}

static const char *const aliases[] = { "mount.fuse", "mount.fuse3", "mount.fuseblk", NULL };

const struct applet applet_mount_fuse3 = {
	.name = "mount.fuse3",
	.aliases = aliases,
	.run = run,
	.mounts = true,
	.summary = "mount FUSE filesystems for mount(8)",
	.help = help,
};
