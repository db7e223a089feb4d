/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first process of a machine that boots without a shell: it does what the lines of /etc/boot
 * say, each a verb and its words, one after the other. The same program is the initramfs's, the
 * root filesystem's, and the one that is left when the root is unmounted; see test_boot.py for what
 * they are told, and doc/initramfs.md for the same in a shell's words.
 *
 * When a line fails, or after the last one, the machine is off.
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

#define SCRIPT     "/etc/boot"
#define MOST_WORDS 32
#define PATIENCE   60 /* seconds */
#define PERIOD     10 /* milliseconds */

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("BOOT: ");
	vprintf(format, arguments);
	printf("\n");
	fflush(stdout);
	va_end(arguments);
}

static void pause_shortly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PERIOD * 1000000L }, NULL);
}

/* Until CONDITION(ARGUMENT) holds. Returns 0 or -ETIMEDOUT. */
static int wait_until(bool (*condition)(const char *argument), const char *argument)
{
	for (int left = PATIENCE * 1000; left > 0; left -= PERIOD) {
		if (condition(argument))
			return 0;
		pause_shortly();
	}
	return -ETIMEDOUT;
}

/* load FILE: a module of the kernel's. */
static int load(char **words)
{
	int fd = open(words[0], O_RDONLY | O_CLOEXEC);

	return fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST) ? -errno : 0;
}

/* mount TYPE SOURCE PLACE [OPTIONS]: one of the kernel's own filesystems. */
static int mount_kernels(char **words)
{
	if (mkdir(words[2], 0755) < 0 && errno != EEXIST)
		return -errno;
	return mount(words[1], words[2], words[0], 0, words[3]) < 0 ? -errno : 0;
}

static pid_t begin(char **words)
{
	pid_t child = fork();

	if (child == 0) {
		setsid();
		execv(words[0], words);
		say("cannot run %s: %s", words[0], strerror(errno));
		_exit(127);
	}
	return child;
}

/* start PROGRAM...: and go on. */
static int start(char **words)
{
	return begin(words) < 0 ? -errno : 0;
}

/* run PROGRAM...: until it ends, with 0. */
static int run(char **words)
{
	pid_t child = begin(words), ended;
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

static bool exists_or_none_will_make_it(const char *path)
{
	return exists(path) || waitpid(-1, NULL, WNOHANG) != 0;
}

/* await PATH: until what was started has made it. */
static int await(char **words)
{
	int error = wait_until(exists_or_none_will_make_it, words[0]);

	return error < 0 || exists(words[0]) ? error : -ECHILD;
}

static bool has_no_directory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && status.st_nlink == 2; /* itself, from above and in it */
}

/* empty DIRECTORY: until there is no other in it. */
static int empty(char **words)
{
	return wait_until(has_no_directory, words[0]);
}

/* copy FILE PLACE: with its mode, and the directories above it. */
static int copy(char **words)
{
	struct stat status;
	int from = open(words[0], O_RDONLY | O_CLOEXEC), to;

	for (char *slash = strchr(words[1] + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(words[1], 0755);
		*slash = '/';
	}
	if (from < 0 || fstat(from, &status) < 0)
		return -errno;
	to = open(words[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, status.st_mode & 07777);
	if (to < 0 || sendfile(to, from, NULL, (size_t)status.st_size) != status.st_size)
		return -errno;
	close(from);
	return close(to) < 0 ? -errno : 0;
}

/* write PATH TEXT: a file with this one word. */
static int write_word(char **words)
{
	FILE *file = fopen(words[0], "we");
	bool written = file && fprintf(file, "%s\n", words[1]) >= 0;

	return file && fclose(file) == 0 && written ? 0 : -errno;
}

static const char *const systems[] = { "/dev", "/proc", "/sys", "/run" };

#define SYSTEM_COUNT (sizeof(systems) / sizeof(systems[0]))

/* Makes the COUNT first of the system's own mounts appear below DIRECTORY. */
static int take_along(const char *directory, size_t count, unsigned long how)
{
	char place[256];

	for (size_t i = 0; i < count; i++) {
		snprintf(place, sizeof(place), "%s%s", directory, systems[i]);
		if (mkdir(place, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
		if (mount(systems[i], place, NULL, how, NULL) < 0)
			return -errno;
	}
	return 0;
}

static int forget(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status, (void)kind, (void)where;
	remove(path); /* or it is mounted on */
	return 0;
}

/*
 * switch DIRECTORY PROGRAM: makes DIRECTORY the root and becomes its PROGRAM, as switch_root(8),
 * which deletes all files of the initramfs, too.
 */
static int switch_root(char **words)
{
	int error = take_along(words[0], SYSTEM_COUNT, MS_MOVE);

	if (error < 0)
		return error;
	nftw("/", forget, 16, FTW_DEPTH | FTW_MOUNT | FTW_PHYS);
	if (chdir(words[0]) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return -errno;
	execv(words[1], words + 1);
	return -errno;
}

/* What root's process calls itself begins so: systemd's sign for a server that the root lives by.
 */
static bool keeps_root(const char *pid)
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

static bool is_kernels(const char *pid)
{
	char path[300], target[16];

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return readlink(path, target, sizeof(target)) < 0;
}

/* What a process may do, as its status has it. */
static void say_status(const char *pid)
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
	say("spared: %s", text);
	if (file)
		fclose(file);
}

/* end: ends, as at each shutdown, all processes but those that the root lives by. */
static int end_processes(char **words)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	(void)words;
	while (directory && (entry = readdir(directory)))
		if (isdigit(entry->d_name[0]) && atoi(entry->d_name) != 1 &&
		    !is_kernels(entry->d_name)) {
			bool spared = keeps_root(entry->d_name);

			if (spared)
				say_status(entry->d_name);
			else
				kill(atoi(entry->d_name), SIGKILL);
		}
	if (!directory)
		return -errno;
	closedir(directory);
	return 0;
}

/*
 * leave DIRECTORY PROGRAM: makes DIRECTORY, which is a mount below /run, the root, and the old one
 * its /oldroot, and becomes its PROGRAM.
 */
static int leave_root(char **words)
{
	char old[256];
	int error;

	snprintf(old, sizeof(old), "%s/oldroot", words[0]);
	if (mkdir(old, 0755) < 0)
		return -errno;
	error = take_along(words[0], SYSTEM_COUNT - 1, MS_BIND);
	if (error < 0)
		return error;
	if (chdir(words[0]) < 0 || syscall(SYS_pivot_root, ".", "oldroot") < 0 || chroot(".") < 0)
		return -errno;
	execv(words[1], words + 1);
	return -errno;
}

/* unmount PLACE...: out of sight. The server has its disk open, in /dev. */
static int unmount(char **words)
{
	for (; *words; words++)
		if (umount2(*words, MNT_DETACH) < 0)
			return -errno;
	return 0;
}

static bool nobody_is_left(const char *unused)
{
	(void)unused;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* drain: until all processes have ended. */
static int drain(char **words)
{
	(void)words;
	return wait_until(nobody_is_left, NULL);
}

/* say WORD...: for who reads the console. */
static int say_words(char **words)
{
	for (; *words; words++)
		say("%s", *words);
	return 0;
}

static const struct {
	const char *verb;
	int words; /* at least */
	int (*act)(char **words);
} verbs[] = {
	{ "await", 1, await },        { "copy", 2, copy },           { "drain", 0, drain },
	{ "empty", 1, empty },        { "end", 0, end_processes },   { "leave", 2, leave_root },
	{ "load", 1, load },          { "mount", 3, mount_kernels }, { "run", 1, run },
	{ "say", 1, say_words },      { "start", 1, start },         { "unmount", 1, unmount },
	{ "switch", 2, switch_root }, { "write", 2, write_word },
};

static int do_line(char *line)
{
	char *words[MOST_WORDS + 1] = { NULL };
	int count = 0;

	for (char *word = strtok(line, " \n"); word && count < MOST_WORDS;
	     word = strtok(NULL, " \n"))
		words[count++] = word;
	for (size_t i = 0; count > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(words[0], verbs[i].verb) == 0 && count > verbs[i].words)
			return verbs[i].act(words + 1);
	return count == 0 ? 0 : -EINVAL;
}

/* Of all lines that can still come to be done, the first that fails is the last. */
static void do_script(void)
{
	FILE *script = fopen(SCRIPT, "re");
	char line[1024], copied[1024];

	if (!script)
		say("cannot read " SCRIPT ": %s", strerror(errno));
	while (script && fgets(line, sizeof(line), script)) {
		int error;

		memcpy(copied, line, sizeof(copied));
		error = do_line(copied);
		if (error < 0) {
			line[strcspn(line, "\n")] = '\0';
			say("FAILED: %s: %s", line, strerror(-error));
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
	do_script();
	say("off");
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
