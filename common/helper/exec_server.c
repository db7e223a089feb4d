/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/exec_server.h"

#include "base/account.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/new_mount_api.h"
#include "base/options.h"
#include "base/path.h"
#include "base/privs.h"
#include "base/strv.h"
#include "helper/exit_status.h"
#include "mount/create_mount.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static int become_user(const struct exec_server *server)
{
	const struct passwd *user;
	int error;

	if (!server->user) {
		setenv("HOME", "/root", 0);
		return 0;
	}
	user = account_by_name(server->user);
	if (!user) {
		diag_error("setuid=%s: no such user", server->user);
		return MOUNT_EXIT_USAGE;
	}
	error = privs_switch_user(user->pw_uid, user->pw_gid, server->drop_privileges);
	if (error < 0) {
		diag_error("setuid=%s: cannot change the user ID: %s", server->user,
			   strerror(-error));
		return MOUNT_EXIT_USAGE;
	}
	return 0;
}

/*
 * Parse the server's options for the mount. allow_root is left out: it needs allow_other in the
 * kernel, and only libfuse in the server would keep other users out.
 */
static int parse_options(const char *list, struct options *options)
{
	_cleanup_free_ char *wanted = NULL;
	int error;

	for (const char *cursor = list ? list : "";;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more < 0)
			return more;
		if (more == 0)
			break;
		if (strcmp(option, "allow_root") != 0 && options_add(&wanted, option) < 0)
			return -ENOMEM;
	}
	error = options_parse(wanted, options);
	if (options_contain(list, "auto_unmount"))
		options->flags |= MS_NOSUID | MS_NODEV; /* as in libfuse */
	return error;
}

/* Return the source to show if no option sets it. */
static const char *get_source_name(const struct exec_server *server, const struct options *options)
{
	if (options->fsname)
		return options->fsname;
	return options->subtype ? options->subtype : server->type;
}

/*
 * Mount on MOUNTPOINT (O_PATH) with FD, an open /dev/fuse. Write the kernel's message to MESSAGE of
 * SIZE bytes. Return 0 or a negative errno.
 */
static int mount_server(const struct exec_server *server, int fd, int mountpoint, char *message,
			size_t size)
{
	_cleanup_options_ struct options options = { 0 };
	struct fuse_mount mount = FUSE_MOUNT_NONE;
	struct stat status;
	int error = parse_options(server->options, &options);

	if (error < 0)
		return error;
	if (fstat(mountpoint, &status) < 0)
		return -errno;
	error = create_mount(
		&(struct mount_spec){
			.subtype = options.subtype ? options.subtype : server->type,
			.fuseblk = options.blkdev,
			.source = get_source_name(server, &options),
			.options = options.kernel,
			.flags = options.flags,
			.fusedev = fd,
			.mountpoint = mountpoint,
			.rootmode = status.st_mode,
			.user = getuid(),
			.group = getgid(),
		},
		&mount, message, size);
	if (error == 0)
		error = attach_mount(&mount, mountpoint);
	discard_mount(&mount);
	return error;
}

/*
 * Mount, then drop all privileges. Store the /dev/fuse that the server inherits in *FDP. Return 0
 * or an exit status.
 */
static int mount_and_drop(const struct exec_server *server, int *fdp)
{
	_cleanup_close_ int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC), mountpoint = -1;
	char message[256] = "";
	int error = fd < 0 ? -errno : 0;

	if (error == 0) {
		mountpoint = open(server->mountpoint, O_PATH | O_CLOEXEC);
		error = mountpoint < 0
				? -errno
				: mount_server(server, fd, mountpoint, message, sizeof(message));
	}
	if (error == 0 && fcntl(fd, F_SETFD, 0) < 0)
		error = -errno;
	if (error < 0) {
		diag_error("%s: cannot mount: %s%s%s", server->mountpoint, strerror(-error),
			   message[0] ? ": " : "", message);
		return MOUNT_EXIT_FAILED;
	}
	error = privs_drop_permanently();
	if (error < 0) {
		diag_error("cannot drop privileges: %s", strerror(-error));
		new_mount_api_umount(server->mountpoint);
		return MOUNT_EXIT_SYSTEM;
	}
	*fdp = take_fd(&fd);
	return 0;
}

/* Set PWD, as a shell does, unless it already names the working directory. */
static void export_pwd(void)
{
	const char *pwd = getenv("PWD");
	char directory[PATH_MAX];
	struct stat a, b;

	if (pwd && pwd[0] == '/' && stat(pwd, &a) == 0 && stat(".", &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return;
	if (getcwd(directory, sizeof(directory)))
		setenv("PWD", directory, 1);
}

/* Reset the signals like a shell: none blocked; ignored ones stay ignored, except SIGCHLD. */
static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
}

/*
 * Execute ARGV. If PATH is not set, search PATH_DEFAULT: the C library has another default. Like a
 * shell, do not export it to the server.
 */
static int execute_in_path(char **argv)
{
	_cleanup_free_ char *path = NULL;

	if (getenv("PATH") || strchr(argv[0], '/')) {
		execvp(argv[0], argv);
		return -errno;
	}
	for (const char *at = PATH_DEFAULT; *at;) {
		size_t length = strcspn(at, ":");

		free(path);
		if (asprintf(&path, "%.*s/%s", (int)length, at, argv[0]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (access(path, X_OK) == 0) {
			execv(path, argv);
			return -errno;
		}
		at += length + (at[length] == ':');
	}
	return -ENOENT;
}

int exec_server(const struct exec_server *server)
{
	_cleanup_strv_ struct strv argv = { 0 };
	char device[32] = "";
	int code, error, fd = -1;

	/*
	 * The server runs with the caller's rights. Keep capabilities only if the caller is root.
	 */
	error = privs_caller_is_root() ? 0 : privs_clear_capabilities();
	if (error < 0) {
		diag_error("cannot drop privileges: %s", strerror(-error));
		return MOUNT_EXIT_SYSTEM;
	}
	if (server->drop_privileges && !privs_can_drop_permanently()) {
		diag_error(
			"option 'drop_privileges' requires CAP_SYS_ADMIN and CAP_SETPCAP; run mount as root");
		return MOUNT_EXIT_USAGE;
	}
	code = become_user(server);
	if (code == 0 && server->drop_privileges)
		code = mount_and_drop(server, &fd);
	if (code != 0)
		return code;
	if (fd >= 0)
		snprintf(device, sizeof(device), "/dev/fd/%d", fd);
	strv_add(&argv, server->type);
	if (server->source)
		strv_add(&argv, server->source);
	strv_add(&argv, fd >= 0 ? device : server->mountpoint);
	if (server->options) {
		strv_add(&argv, "-o");
		strv_add(&argv, server->options);
	}
	export_pwd();
	reset_signals();
	error = argv.failed ? -ENOMEM : execute_in_path(argv.argv);
	diag_error("%s: no service for this type, and cannot execute the server: %s", server->type,
		   strerror(-error));
	/* The kernel ends the connection when /dev/fuse is closed, but the mount remains. */
	if (fd >= 0)
		diag_warning("%s: still mounted; try 'umount %s'", server->mountpoint,
			     server->mountpoint);
	return MOUNT_EXIT_FAILED;
}
