/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc: all applets in one executable. The name it is called by chooses, or "fsvc APPLET".
 */
#include "applet.h"
#include "base/diag.h"
#include "base/privs.h"
#include "config.h"

#include "base/array.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>

/* What the shell says of a command that is not there. */
#define EXIT_NO_APPLET 127

/*
 * All applets. With privileges, by set-user-ID, run those alone that mount, and these as the caller
 * but for the calls that need privilege; see privs.h.
 */
#define APPLET(name) &applet_##name,
static const struct applet *const applets[] = { APPLETS(APPLET) };
#undef APPLET

#define APPLET_COUNT ARRAY_SIZE(applets)

/* Whether NAME is an alias, as it is or with a filesystem's type behind a dot. */
static bool has_alias(const struct applet *applet, const char *name)
{
	for (const char *const *alias = applet->aliases; alias && *alias; alias++) {
		size_t length = strlen(*alias);

		if (strncmp(name, *alias, length) == 0 && (!name[length] || name[length] == '.'))
			return true;
	}
	return false;
}

static const struct applet *find(const char *name)
{
	for (size_t i = 0; i < APPLET_COUNT; i++)
		if (strcmp(applets[i]->name, name) == 0 || has_alias(applets[i], name))
			return applets[i];
	return NULL;
}

static void print_list(void)
{
	for (size_t i = 0; i < APPLET_COUNT; i++)
		printf("%s\n", applets[i]->name);
}

static void print_help(void)
{
	printf("Usage: fsvc APPLET [ARGUMENTS]\n"
	       "       fsvc --list | --help | --version\n"
	       "\n"
	       "Mounts filesystems that nobody trusts, through FUSE servers that run contained.\n"
	       "\n"
	       "Applets, also callable by a link of their name:\n");
	for (size_t i = 0; i < APPLET_COUNT; i++)
		printf("  %-16s %s\n", applets[i]->name, applets[i]->summary);
	printf("\n"
	       "  --list           the applets' names, one a line\n"
	       "  --help           this text; \"fsvc APPLET --help\" explains one\n"
	       "  --version        the version\n"
	       "\n"
	       "Exit code: that of the applet; 127 where there is none of that name.\n");
}

static void print_version(void)
{
	printf("fsvc %s\n", PROJECT_VERSION);
}

/* Whether one of the applet's own words is WANTED: what follows "--" is for others. */
static bool asks_for(int argc, char **argv, const char *wanted)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], wanted) == 0)
			return true;
	return false;
}

static int run(const struct applet *applet, int argc, char **argv)
{
	diag_set_program(applet->name);
	if (asks_for(argc, argv, "--help")) {
		fputs(applet->help, stdout);
		return 0;
	}
	if (asks_for(argc, argv, "--version")) {
		print_version();
		return 0;
	}
	return applet->run(argc, argv);
}

/* "fsvc" itself, with what follows. */
static int run_none(int argc, char **argv)
{
	static const struct {
		const char *option;
		void (*print)(void);
	} options[] = {
		{ "--list", print_list },
		{ "--help", print_help },
		{ "--version", print_version },
	};

	if (argc < 2) {
		print_help();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(argv[1], options[i].option) == 0) {
			options[i].print();
			return 0;
		}
	return -1;
}

static int complain(const char *name)
{
	diag_error("no applet is called '%.64s': fsvc --list tells which there are", name);
	return EXIT_NO_APPLET;
}

int main(int argc, char **argv)
{
	const struct applet *applet = argc > 0 ? find(path_basename(argv[0])) : NULL;
	bool is_fsvc = argc > 0 && strcmp(path_basename(argv[0]), "fsvc") == 0;
	int code;

	if (!applet && is_fsvc && argc > 1)
		applet = find(argv[1]);
	diag_set_program("fsvc");
	/* Before anything is read, opened or printed. */
	if (privs_open_standard_fds() < 0 || privs_become_caller(applet && applet->mounts) < 0)
		return EXIT_NO_APPLET;

	if (applet && is_fsvc)
		return run(applet, argc - 1, argv + 1);
	if (applet)
		return run(applet, argc, argv);
	code = is_fsvc ? run_none(argc, argv) : -1;
	return code >= 0 ? code : complain(argc > (is_fsvc ? 1 : 0) ? argv[is_fsvc ? 1 : 0] : "");
}
