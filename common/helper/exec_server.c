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
#include "mount/create_mount.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static int become_user(const struct exec_server *start)
{
	const struct passwd *user;
	int error;

	if (!start->user) {
		setenv("HOME", "/root", 0);
		return 0;
	}
	user = account_by_name(start->user);
	if (!user) {
		diag_error("setuid=%s: there is no such user", start->user);
		return START_USAGE;
	}
	error = privs_switch_user(user->pw_uid, user->pw_gid, start->drop_privileges);
	if (error < 0) {
		diag_error("cannot become the user %s: %s", start->user, strerror(-error));
		return START_USAGE;
	}
	return 0;
}

/*
 * What of the server's options is the mount's. allow_root is not: of a mount that the kernel opens
 * to all, only libfuse in the server would keep the others out.
 */
static int sort_options(const char *list, struct options *options)
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
		options->flags |= MS_NOSUID | MS_NODEV; /* libfuse does so */
	return error;
}

/* The source as it is shown, where the options name none. */
static const char *name_source(const struct exec_server *start, const struct options *options)
{
	if (options->fsname)
		return options->fsname;
	return options->subtype ? options->subtype : start->type;
}

/* Mounts for the server. FD: /dev/fuse. Returns 0 or a negative errno. */
static int mount_on(const struct exec_server *start, int fd, int mountpoint, char *why, size_t size)
{
	_cleanup_options_ struct options options = { 0 };
	struct fuse_mount mount = FUSE_MOUNT_NONE;
	struct stat status;
	int error = sort_options(start->options, &options);

	if (error < 0)
		return error;
	if (fstat(mountpoint, &status) < 0)
		return -errno;
	error = create_mount(
		&(struct mount_spec){
			.subtype = options.subtype ? options.subtype : start->type,
			.fuseblk = options.blkdev,
			.source = name_source(start, &options),
			.options = options.kernel,
			.flags = options.flags,
			.fusedev = fd,
			.mountpoint = mountpoint,
			.rootmode = status.st_mode,
			.user = getuid(),
			.group = getgid(),
		},
		&mount, why, size);
	if (error == 0)
		error = attach_mount(&mount, mountpoint);
	discard_mount(&mount);
	return error;
}

/* *FDP: the /dev/fuse of the new mount, which the server inherits. */
static int mount_and_drop(const struct exec_server *start, int *fdp)
{
	_cleanup_close_ int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC), mountpoint = -1;
	char why[256] = "";
	int error = fd < 0 ? -errno : 0;

	if (error == 0) {
		mountpoint = open(start->mountpoint, O_PATH | O_CLOEXEC);
		error = mountpoint < 0 ? -errno : mount_on(start, fd, mountpoint, why, sizeof(why));
	}
	if (error == 0 && fcntl(fd, F_SETFD, 0) < 0)
		error = -errno;
	if (error < 0) {
		diag_error("cannot mount on %s: %s%s%s", start->mountpoint, strerror(-error),
			   why[0] ? ": " : "", why);
		return START_FAILED;
	}
	error = privs_drop_permanently();
	if (error < 0) {
		diag_error("cannot drop privileges: %s", strerror(-error));
		new_mount_api_umount(start->mountpoint);
		return START_SYSTEM;
	}
	*fdp = take_fd(&fd);
	return 0;
}

/* A shell exports where it is, unless PWD says so already. */
static void export_directory(void)
{
	const char *said = getenv("PWD");
	char here[PATH_MAX];
	struct stat a, b;

	if (said && said[0] == '/' && stat(said, &a) == 0 && stat(".", &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return;
	if (getcwd(here, sizeof(here)))
		setenv("PWD", here, 1);
}

/* As a shell leaves them: none held back, and ignored what was ignored, but for what it waits by.
 */
static void leave_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
}

/* execvpe(3) looks in our own PATH: a default there must not become the server's. */
static int execute(char **argv)
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

int exec_server(const struct exec_server *start)
{
	_cleanup_strv_ struct strv words = { 0 };
	char device[32] = "";
	int code, error, fd = -1;

	/* A server runs with the caller's rights: root's are root's own, and others have none here.
	 */
	error = privs_caller_is_root() ? 0 : privs_clear_capabilities();
	if (error < 0) {
		diag_error("cannot give up privileges: %s", strerror(-error));
		return START_SYSTEM;
	}
	if (start->drop_privileges && !privs_can_drop_permanently()) {
		diag_error("drop_privileges needs CAP_SYS_ADMIN and CAP_SETPCAP: run it as root");
		return START_USAGE;
	}
	code = become_user(start);
	if (code == 0 && start->drop_privileges)
		code = mount_and_drop(start, &fd);
	if (code != 0)
		return code;
	if (fd >= 0)
		snprintf(device, sizeof(device), "/dev/fd/%d", fd);
	strv_add(&words, start->type);
	if (start->source)
		strv_add(&words, start->source);
	strv_add(&words, fd >= 0 ? device : start->mountpoint);
	if (start->options) {
		strv_add(&words, "-o");
		strv_add(&words, start->options);
	}
	export_directory();
	leave_signals();
	error = words.failed ? -ENOMEM : execute(words.argv);
	diag_error("no service for %s, and cannot start the server %s: %s", start->type,
		   start->type, strerror(-error));
	/* The kernel ends a mount whose /dev/fuse is closed, but leaves it in its place. */
	if (fd >= 0)
		diag_warning("%s is left mounted: umount %s", start->mountpoint, start->mountpoint);
	return START_FAILED;
}
