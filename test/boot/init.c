/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Process 1 of a virtual machine without a shell. It runs the commands in /etc/boot, one a line.
 * The same program is the init of the initramfs, of the root filesystem, and of the shutdown, which
 * unmounts the root filesystem. test_boot.py writes their commands; doc/initramfs.md contains the
 * same steps as shell commands.
 *
 * The machine is switched off after the last command, or if a command fails.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCRIPT         "/etc/boot"
#define MAX_WORDS      32
#define WAIT_TIMEOUT_S 60
#define WAIT_PERIOD_MS 10

static void __attribute__((format(printf, 1, 2))) print_message(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("BOOT: ");
	vprintf(format, arguments);
	printf("\n");
	fflush(stdout);
	va_end(arguments);
}

static void sleep_one_period(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = WAIT_PERIOD_MS * 1000000L }, NULL);
}

/* Wait until CONDITION(ARGUMENT) is true. Return 0 or -ETIMEDOUT. */
static int wait_until(bool (*condition)(const char *argument), const char *argument)
{
	for (int left = WAIT_TIMEOUT_S * 1000; left > 0; left -= WAIT_PERIOD_MS) {
		if (condition(argument))
			return 0;
		sleep_one_period();
	}
	return -ETIMEDOUT;
}

/* load FILE: load a kernel module. */
static int load_module(char **args)
{
	int fd = open(args[0], O_RDONLY | O_CLOEXEC);

	return fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST) ? -errno : 0;
}

/* mount TYPE SOURCE DIRECTORY [OPTIONS]: mount a filesystem of the kernel. */
static int mount_filesystem(char **args)
{
	if (mkdir(args[2], 0755) < 0 && errno != EEXIST)
		return -errno;
	return mount(args[1], args[2], args[0], 0, args[3]) < 0 ? -errno : 0;
}

static pid_t spawn(char **args)
{
	pid_t child = fork();

	if (child == 0) {
		setsid();
		execv(args[0], args);
		print_message("cannot run %s: %s", args[0], strerror(errno));
		_exit(127);
	}
	return child;
}

/* start PROGRAM...: start a program in the background. */
static int start_program(char **args)
{
	return spawn(args) < 0 ? -errno : 0;
}

/* run PROGRAM...: run a program; fail unless it exits with 0. */
static int run_program(char **args)
{
	pid_t child = spawn(args), ended;
	int status;

	do
		ended = wait(&status);
	while (ended != child && ended > 0);
	if (ended < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECANCELED;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool exists_or_all_children_exited(const char *path)
{
	return exists(path) || waitpid(-1, NULL, WNOHANG) != 0;
}

/* await PATH: wait until a started program has created PATH. */
static int await_path(char **args)
{
	int error = wait_until(exists_or_all_children_exited, args[0]);

	return error < 0 || exists(args[0]) ? error : -ECHILD;
}

static bool has_no_subdirectory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && status.st_nlink == 2; /* its entry and its "." */
}

/* empty DIRECTORY: wait until a directory has no subdirectory. */
static int await_no_subdirectory(char **args)
{
	return wait_until(has_no_subdirectory, args[0]);
}

/* copy FILE TARGET: copy a file with its mode, and create the parent directories. */
static int copy_file(char **args)
{
	struct stat status;
	int from = open(args[0], O_RDONLY | O_CLOEXEC), to;

	for (char *slash = strchr(args[1] + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(args[1], 0755);
		*slash = '/';
	}
	if (from < 0 || fstat(from, &status) < 0)
		return -errno;
	to = open(args[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, status.st_mode & 07777);
	if (to < 0 || sendfile(to, from, NULL, (size_t)status.st_size) != status.st_size)
		return -errno;
	close(from);
	return close(to) < 0 ? -errno : 0;
}

/* write PATH WORD: write a file that contains WORD. */
static int write_word(char **args)
{
	FILE *file = fopen(args[0], "we");
	bool written = file && fprintf(file, "%s\n", args[1]) >= 0;

	return file && fclose(file) == 0 && written ? 0 : -errno;
}

static const char *const system_mounts[] = { "/dev", "/proc", "/sys", "/run" };

#define SYSTEM_MOUNT_COUNT (sizeof(system_mounts) / sizeof(system_mounts[0]))

/* Move or bind (FLAGS) the first COUNT of the system mounts to DIRECTORY. */
static int mount_below(const char *directory, size_t count, unsigned long flags)
{
	char path[256];

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s%s", directory, system_mounts[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
		if (mount(system_mounts[i], path, NULL, flags, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int remove_file(const char *path, const struct stat *status, int kind, struct FTW *info)
{
	(void)status, (void)kind, (void)info;
	remove(path); /* fails for a mountpoint */
	return 0;
}

/*
 * switch DIRECTORY PROGRAM: make DIRECTORY the root filesystem, delete all files of the initramfs,
 * and execute PROGRAM, as switch_root(8) does.
 */
static int switch_root(char **args)
{
	int error = mount_below(args[0], SYSTEM_MOUNT_COUNT, MS_MOVE);

	if (error < 0)
		return error;
	nftw("/", remove_file, 16, FTW_DEPTH | FTW_MOUNT | FTW_PHYS);
	if (chdir(args[0]) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return -errno;
	execv(args[1], args + 1);
	return -errno;
}

/* At shutdown, systemd kills no process of root whose argv[0] begins with '@'. */
static bool serves_root_filesystem(const char *pid)
{
	char path[300], first = '\0';
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s", pid);
	if (stat(path, &status) < 0 || status.st_uid != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &first, 1) < 0)
		first = '\0';
	close(fd);
	return first == '@';
}

static bool is_kernel_thread(const char *pid)
{
	char path[300], target[16];

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return readlink(path, target, sizeof(target)) < 0;
}

/* Print the capabilities and the seccomp mode of a process. */
static void print_status(const char *pid)
{
	static const char *const names[] = { "CapPrm:", "CapBnd:", "NoNewPrivs:", "Seccomp:" };
	char path[300], line[256], text[256] = "";
	size_t used = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				used += (size_t)snprintf(text + used, sizeof(text) - used, "%.60s",
							 line);
	for (char *blank = text; (blank = strpbrk(blank, "\t\n"));)
		*blank = ' ';
	print_message("kept: %s", text);
	if (file)
		fclose(file);
}

/* end: kill all processes except the servers of the root filesystem, as at each shutdown. */
static int kill_processes(char **args)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	(void)args;
	while (directory && (entry = readdir(directory)))
		if (isdigit(entry->d_name[0]) && atoi(entry->d_name) != 1 &&
		    !is_kernel_thread(entry->d_name)) {
			if (serves_root_filesystem(entry->d_name))
				print_status(entry->d_name);
			else
				kill(atoi(entry->d_name), SIGKILL);
		}
	if (!directory)
		return -errno;
	closedir(directory);
	return 0;
}

/*
 * leave DIRECTORY PROGRAM: make DIRECTORY, a mount below /run, the root filesystem, move the old
 * one to /oldroot, and execute PROGRAM.
 */
static int leave_root(char **args)
{
	char old_root[256];
	int error;

	snprintf(old_root, sizeof(old_root), "%s/oldroot", args[0]);
	if (mkdir(old_root, 0755) < 0)
		return -errno;
	error = mount_below(args[0], SYSTEM_MOUNT_COUNT - 1, MS_BIND);
	if (error < 0)
		return error;
	if (chdir(args[0]) < 0 || syscall(SYS_pivot_root, ".", "oldroot") < 0 || chroot(".") < 0)
		return -errno;
	execv(args[1], args + 1);
	return -errno;
}

/* unmount DIRECTORY...: unmount lazily, as the server has its disk in /dev open. */
static int unmount_lazily(char **args)
{
	for (; *args; args++)
		if (umount2(*args, MNT_DETACH) < 0)
			return -errno;
	return 0;
}

static bool all_children_exited(const char *unused)
{
	(void)unused;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* drain: wait until all processes have exited. */
static int await_all_exited(char **args)
{
	(void)args;
	return wait_until(all_children_exited, NULL);
}

/* say WORD...: print the words on the console. */
static int print_words(char **args)
{
	for (; *args; args++)
		print_message("%s", *args);
	return 0;
}

static const struct {
	const char *name;
	int min_args;
	int (*run)(char **args);
} commands[] = {
	{ "await", 1, await_path },       { "copy", 2, copy_file },
	{ "drain", 0, await_all_exited }, { "empty", 1, await_no_subdirectory },
	{ "end", 0, kill_processes },     { "leave", 2, leave_root },
	{ "load", 1, load_module },       { "mount", 3, mount_filesystem },
	{ "run", 1, run_program },        { "say", 1, print_words },
	{ "start", 1, start_program },    { "switch", 2, switch_root },
	{ "unmount", 1, unmount_lazily }, { "write", 2, write_word },
};

static int run_line(char *line)
{
	char *args[MAX_WORDS + 1] = { NULL };
	int count = 0;

	for (char *word = strtok(line, " \n"); word && count < MAX_WORDS;
	     word = strtok(NULL, " \n"))
		args[count++] = word;
	for (size_t i = 0; count > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(args[0], commands[i].name) == 0 && count > commands[i].min_args)
			return commands[i].run(args + 1);
	return count == 0 ? 0 : -EINVAL;
}

/* Run the lines of the script until one fails. */
static void run_script(void)
{
	FILE *script = fopen(SCRIPT, "re");
	char line[1024], copied[1024];

	if (!script)
		print_message("cannot read " SCRIPT ": %s", strerror(errno));
	while (script && fgets(line, sizeof(line), script)) {
		int error;

		memcpy(copied, line, sizeof(copied));
		error = run_line(copied);
		if (error < 0) {
			line[strcspn(line, "\n")] = '\0';
			print_message("FAILED: %s: %s", line, strerror(-error));
			break;
		}
	}
	if (script)
		fclose(script);
}

int main(void)
{
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	umask(022);
	run_script();
	print_message("off");
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
