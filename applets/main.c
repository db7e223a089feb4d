/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc: all applets in one executable. The name by which it is run selects the applet, or "fsvc
 * APPLET".
 */
#include "applet.h"
#include "base/diag.h"
#include "base/privs.h"
#include "config.h"

#include "base/array.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>

/* The exit status of a shell for an unknown command. */
#define EXIT_NO_APPLET 127

#define APPLET(name) &applet_##name,
static const struct applet *const applets[] = { APPLETS(APPLET) };
#undef APPLET

#define APPLET_COUNT ARRAY_SIZE(applets)

/* Return true if NAME is an alias of APPLET, alone or followed by a dot and a filesystem type. */
static bool has_alias(const struct applet *applet, const char *name)
{
	for (const char *const *alias = applet->aliases; alias && *alias; alias++) {
		size_t length = strlen(*alias);

		if (strncmp(name, *alias, length) == 0 && (!name[length] || name[length] == '.'))
			return true;
	}
	return false;
}

static const struct applet *find_applet(const char *name)
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
	printf("Usage: fsvc APPLET [ARGUMENT]...\n"
	       "       fsvc --list | --help | --version\n"
	       "\n"
	       "Mount untrusted filesystem images through sandboxed FUSE servers.\n"
	       "\n"
	       "Applets, which can also be run through a link with their name:\n");
	for (size_t i = 0; i < APPLET_COUNT; i++)
		printf("  %-16s %s\n", applets[i]->name, applets[i]->summary);
	printf("\n"
	       "  --list           list the applets and exit\n"
	       "  --help           print this help and exit; see also 'fsvc APPLET --help'\n"
	       "  --version        print the version and exit\n"
	       "\n"
	       "Exit status: that of the applet; 127 if the applet does not exist.\n");
}

static void print_version(void)
{
	printf("fsvc %s\n", PROJECT_VERSION);
}

/* Return true if OPTION is one of the arguments before "--". */
static bool has_option(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}

static int run_applet(const struct applet *applet, int argc, char **argv)
{
	diag_set_program(applet->name);
	if (has_option(argc, argv, "--help")) {
		fputs(applet->help, stdout);
		return 0;
	}
	if (has_option(argc, argv, "--version")) {
		print_version();
		return 0;
	}
	return applet->run(argc, argv);
}

/*
 * Run "fsvc" with one of its own options. Return its exit status, or -1 if the option is unknown.
 */
static int run_fsvc(int argc, char **argv)
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

static int report_unknown(const char *name)
{
	if (name[0] == '-')
		diag_usage_error("unrecognized option '%.64s'", name);
	else
		diag_usage_error("unknown applet '%.64s'", name);
	return EXIT_NO_APPLET;
}

int main(int argc, char **argv)
{
	const struct applet *applet = argc > 0 ? find_applet(path_basename(argv[0])) : NULL;
	bool is_fsvc = argc > 0 && strcmp(path_basename(argv[0]), "fsvc") == 0;
	int status;

	if (!applet && is_fsvc && argc > 1)
		applet = find_applet(argv[1]);
	diag_set_program("fsvc");
	/* This comes before anything is read, opened or printed. */
	if (privs_open_standard_fds() < 0 || privs_become_caller(applet && applet->mounts) < 0)
		return EXIT_NO_APPLET;

	if (applet && is_fsvc)
		return run_applet(applet, argc - 1, argv + 1);
	if (applet)
		return run_applet(applet, argc, argv);
	status = is_fsvc ? run_fsvc(argc, argv) : -1;
	return status >= 0 ? status
			   : report_unknown(argc > (is_fsvc ? 1 : 0) ? argv[is_fsvc ? 1 : 0] : "");
}
