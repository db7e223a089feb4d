/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-probe: shows what services there are, and what is mounted by them. It only looks, unless it
 * is told to shake hands.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "config.h"
#include "probe/service_list.h"
#include "probe/table.h"
#include "probe/unit_report.h"
#include "protocol/mount_args.h"

#include "base/parse.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>

static const char help[] =
	"Usage: fsvc-probe [OPTIONS] [TYPE...]\n"
	"       fsvc-probe --mounts [OPTIONS] [TYPE...]\n"
	"       fsvc-probe --check TYPE...\n"
	"\n"
	"Shows the services there are, and whether you may use them; each TYPE in detail, with what\n"
	"its sandbox closes and leaves open; or what is mounted by services. It connects to nothing\n"
	"and starts nothing, but with --hello.\n"
	"\n"
	"Options:\n"
	"  -m, --mounts          show the mounts that services have made\n"
	"  --hello               shake hands with each service, or with those of TYPE, and leave\n"
	"  --timeout SECONDS     a service has so long to answer (30 unless given)\n"
	"  --check               say nothing: exit with 0 if there is a service for each TYPE that\n"
	"                        you may use, else with 1\n"
	"  -J, --json            as JSON\n"
	"  -r, --raw             one blank between columns\n"
	"  -n, --noheadings      without headings\n"
	"  -o, --output COLUMNS  these columns, separated by commas; after a '+' beside the usual\n"
	"  -O, --output-all      all columns\n"
	"  --help                this text\n"
	"  --version             the version\n"
	"\n"
	"Columns of services: TYPE, STATE (ready, not-listening, refused, unsafe), SOCKET, UNIT,\n"
	"ENABLED, MOUNTS, CONNECTIONS, LIMIT, SERVICE, SERVER, REASON; of --hello: VERSION, TIME,\n"
	"FAILURE; in detail: EXPOSURE, SANDBOX, OPEN.\n"
	"Columns of mounts: SOURCE, TARGET, TYPE, USER, UID, PID, UNIT, MEMORY, SINCE.\n"
	"\n"
	"Exit code: 0 all is well; 1 wrong usage, or a TYPE has no service, or does not answer.\n";

#define PATIENCE 30

/* Sets of columns. */
enum {
	LIST = 1 << 0,   /* for people */
	JSON = 1 << 1,   /* for programs, which have room */
	DETAIL = 1 << 2, /* for one type */
	HELLO = 1 << 3,
	SANDBOX = 1 << 4, /* takes many questions */
	ALL = 1 << 5,
};

/* clang-format off */
#define SERVICE(name, form, member, sets) { name, form, offsetof(struct service_info, member), (sets) | ALL }

static const struct table_column service_columns[] = {
	SERVICE("TYPE", TABLE_TEXT, type, LIST | JSON | DETAIL | HELLO),
	SERVICE("STATE", TABLE_STATE, state, LIST | JSON | DETAIL | HELLO),
	SERVICE("REASON", TABLE_TEXT, reason, DETAIL),
	SERVICE("SOCKET", TABLE_TEXT, socket, JSON | DETAIL),
	SERVICE("UNIT", TABLE_TEXT, unit, LIST | JSON | DETAIL),
	SERVICE("ENABLED", TABLE_TEXT, enabled, LIST | JSON | DETAIL),
	SERVICE("MOUNTS", TABLE_NUMBER, mounts, LIST | JSON | DETAIL),
	SERVICE("CONNECTIONS", TABLE_NUMBER, connections, DETAIL),
	SERVICE("LIMIT", TABLE_NUMBER, limit, LIST | JSON | DETAIL),
	SERVICE("SERVICE", TABLE_TEXT, service, DETAIL),
	SERVICE("SERVER", TABLE_TEXT, server, LIST | JSON | DETAIL),
	SERVICE("VERSION", TABLE_NUMBER, version, HELLO),
	SERVICE("TIME", TABLE_THOUSANDTH, time, HELLO),
	SERVICE("FAILURE", TABLE_TEXT, failure, HELLO),
	SERVICE("EXPOSURE", TABLE_THOUSANDTH, exposure, DETAIL | SANDBOX),
	SERVICE("SANDBOX", TABLE_LINES, closed, DETAIL | SANDBOX),
	SERVICE("OPEN", TABLE_LINES, open, DETAIL | SANDBOX),
	{ NULL, 0, 0, 0 },
};

#define MOUNT(name, form, member, sets) { name, form, offsetof(struct listed_mount, member), (sets) | ALL }

static const struct table_column mount_columns[] = {
	MOUNT("SOURCE", TABLE_TEXT, source, LIST),
	MOUNT("TARGET", TABLE_TEXT, target, LIST),
	MOUNT("TYPE", TABLE_TEXT, type, LIST),
	MOUNT("USER", TABLE_TEXT, user, LIST),
	MOUNT("UID", TABLE_NUMBER, uid, 0),
	MOUNT("PID", TABLE_NUMBER, pid, LIST),
	MOUNT("UNIT", TABLE_TEXT, unit, LIST),
	MOUNT("MEMORY", TABLE_SIZE, memory, LIST),
	MOUNT("SINCE", TABLE_TEXT, since, LIST),
	{ NULL, 0, 0, 0 },
};
/* clang-format on */

static const struct table_colour colours[] = {
	{ SERVICE_READY, "\033[32m" },        /* green */
	{ SERVICE_NOT_LISTENING, "\033[2m" }, /* faint */
	{ SERVICE_REFUSED, "\033[33m" },      /* yellow */
	{ SERVICE_UNSAFE, "\033[31m" },       /* red */
	{ NULL, NULL },
};

struct call {
	bool mounts, hello, check, all;
	unsigned int seconds;
	const char *columns;
	char **types; /* NULL-terminated; none: all */
	size_t type_count;
	struct table_selection choice;
};

enum { OPTION_HELLO = 256, OPTION_CHECK, OPTION_TIME };

static const struct option options[] = {
	{ "mounts", no_argument, NULL, 'm' },
	{ "hello", no_argument, NULL, OPTION_HELLO },
	{ "timeout", required_argument, NULL, OPTION_TIME },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "json", no_argument, NULL, 'J' },
	{ "raw", no_argument, NULL, 'r' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "output-all", no_argument, NULL, 'O' },
	{ 0 },
};

static int read_seconds(struct call *call, const char *value)
{
	if (parse_seconds(value, 1, &call->seconds) == 0)
		return 0;
	diag_error("--timeout wants 1 to %d seconds, and not '%s'", MAX_SECONDS, value);
	return -EINVAL;
}

/* OPTION: what getopt_long() says of WORD, ':' for a value that is missing. */
static int refuse_option(int option, const char *word)
{
	const char letter[] = { '-', (char)optopt, '\0' };
	const struct option *known = options;

	while (known->name && known->val != optopt)
		known++;
	if (known->name)
		diag_error("--%s wants %s value; see --help", known->name,
			   option == ':' ? "a" : "no");
	else
		diag_error("%s: there is no such option; see --help", optopt > 0 ? letter : word);
	return -EINVAL;
}

static int set_option(struct call *call, int option, const char *word)
{
	switch (option) {
	case 'm':
		call->mounts = true;
		return 0;
	case OPTION_HELLO:
		call->hello = true;
		return 0;
	case OPTION_TIME:
		return read_seconds(call, optarg);
	case OPTION_CHECK:
		call->check = true;
		return 0;
	case 'J':
		call->choice.style = TABLE_JSON;
		return 0;
	case 'r':
		call->choice.style = TABLE_RAW;
		return 0;
	case 'n':
		call->choice.headings = false;
		return 0;
	case 'o':
		call->columns = optarg;
		return 0;
	case 'O':
		call->all = true;
		return 0;
	default:
		return refuse_option(option, word);
	}
}

/* Which columns, and how, where the command line does not say. */
static int choose(struct call *call)
{
	const struct table_column *columns = call->mounts ? mount_columns : service_columns;
	bool details = call->type_count > 0 && !call->mounts && !call->hello;
	const char *wrong;
	unsigned int sets = LIST;

	if (call->all)
		sets = ALL;
	else if (call->hello)
		sets = HELLO;
	else if (details)
		sets = DETAIL;
	else if (call->choice.style == TABLE_JSON && !call->mounts)
		sets = JSON;
	if (details && call->choice.style == TABLE_PLAIN && !call->columns)
		call->choice.style = TABLE_DETAILS;
	if (table_choose(columns, sets, call->columns, &call->choice, &wrong) == 0)
		return 0;
	diag_error("there is no column '%.*s'; see --help", (int)strcspn(wrong, ","), wrong);
	return -EINVAL;
}

static int parse(struct call *call, int argc, char **argv)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":mJrno:O", options, NULL)) >= 0)
		if (set_option(call, option, argv[optind - 1]) < 0)
			return -EINVAL;
	call->types = argv + optind;
	call->type_count = (size_t)(argc - optind);
	if (call->check && (call->mounts || call->hello || call->type_count == 0)) {
		diag_error("--check wants a TYPE, and neither --mounts nor --hello; see --help");
		return -EINVAL;
	}
	if (call->mounts && call->hello) {
		diag_error("either --mounts or --hello; see --help");
		return -EINVAL;
	}
	return choose(call);
}

/* Whether the call is about TYPE. A type may be spelled as in mount -t. */
static bool is_wanted(const struct call *call, const char *type)
{
	for (size_t i = 0; i < call->type_count; i++) {
		const char *subtype = mount_args_subtype(call->types[i]);

		if (subtype && strcmp(subtype, type) == 0)
			return true;
	}
	return call->type_count == 0;
}

static int print(const struct call *call, const struct table *table)
{
	int error = table_print(table, &call->choice);

	if (error < 0)
		diag_error("cannot print: %s", strerror(-error));
	return error < 0;
}

static int fail(int error)
{
	diag_error("cannot list the services of " SERVICE_SOCKET_DIR ": %s", strerror(-error));
	return 1;
}

static int fail_with_mounts(int error)
{
	diag_error("cannot read the mount table, /proc/self/mountinfo and /run/mount/utab: %s",
		   strerror(-error));
	return 1;
}

static int show_mounts(const struct call *call, const struct mount_list *mounted)
{
	_cleanup_free_ const void **rows = calloc(mounted->count + 1, sizeof(*rows));
	struct table table = {
		.name = "mounts", .columns = mount_columns, .colours = colours, .rows = rows
	};

	if (!rows)
		return fail_with_mounts(-ENOMEM);
	for (size_t i = 0; i < mounted->count; i++)
		if (is_wanted(call, mounted->items[i].type))
			rows[table.row_count++] = &mounted->items[i];
	return print(call, &table);
}

/* Whether each TYPE is among the catalogue, and READY where that is asked for. */
static bool are_there(const struct call *call, const struct service_list *services, bool ready)
{
	bool all = true;

	for (size_t i = 0; i < call->type_count; i++) {
		const char *subtype = mount_args_subtype(call->types[i]);
		bool found = false;

		for (size_t o = 0; subtype && o < services->count; o++)
			found |= strcmp(services->items[o].type, subtype) == 0 &&
				 (!ready || strcmp(services->items[o].state, SERVICE_READY) == 0);
		if (!found && !ready)
			diag_error("there is no service for %s: neither a socket nor a unit",
				   call->types[i]);
		all &= found;
	}
	return all;
}

/* Finds out what is wanted of those chosen beyond what is known of all. Returns whether all is
 * well.
 */
static bool examine(const struct call *call, struct systemd *systemd, struct service_list *services)
{
	if (call->hello)
		return service_list_probe(services, call->seconds) == 0;
	for (size_t i = 0;
	     systemd && table_has_chosen(&call->choice, SANDBOX) && i < services->count; i++) {
		struct service_info *service = &services->items[i];

		if (service->chosen && service->service &&
		    unit_report_describe(systemd, service->service, &service->closed,
					 &service->open) == 0 &&
		    service->closed)
			service->exposure = unit_report_exposure(service->service);
	}
	return true;
}

static int show_services(const struct call *call, struct systemd *systemd,
			 struct service_list *services)
{
	_cleanup_free_ const void **rows = calloc(services->count + 1, sizeof(*rows));
	struct table table = {
		.name = "services", .columns = service_columns, .colours = colours, .rows = rows
	};
	bool complete = are_there(call, services, false);

	if (!rows)
		return fail(-ENOMEM);
	for (size_t i = 0; i < services->count; i++) {
		struct service_info *service = &services->items[i];

		/* Where nobody listens, there is nobody to greet unless the caller says so. */
		service->chosen = is_wanted(call, service->type) &&
				  !(call->hello && call->type_count == 0 &&
				    strcmp(service->state, SERVICE_NOT_LISTENING) == 0);
		if (service->chosen)
			rows[table.row_count++] = service;
	}
	complete &= examine(call, systemd, services);
	return print(call, &table) || !complete;
}

static bool wants_colours(void)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!no_colour || !*no_colour) &&
	       (!terminal || strcmp(terminal, "dumb") != 0);
}

static int run(int argc, char **argv)
{
	_cleanup_mount_list_ struct mount_list mounted = { 0 };
	_cleanup_service_list_ struct service_list services = { 0 };
	_cleanup_systemd_ struct systemd *systemd = NULL;
	struct call call = { .seconds = PATIENCE,
			     .choice = { .headings = true, .colours = wants_colours() } };
	int error;

	/* How wide a letter is on the terminal. */
	setlocale(LC_CTYPE, "");
	if (parse(&call, argc, argv) < 0)
		return 1;
	error = call.check ? 0 : mount_list_load(&mounted);
	if (error < 0)
		return fail_with_mounts(error);
	if (call.mounts)
		return show_mounts(&call, &mounted);
	error = call.check ? -ENOSYS : systemd_open(&systemd);
	if (error < 0 && error != -ENOSYS)
		diag_warning("cannot ask systemd for its units: %s", strerror(-error));
	error = service_list_load(&services, systemd, &mounted);
	if (call.check)
		return error < 0 || !are_there(&call, &services, true);
	return error < 0 ? fail(error) : show_services(&call, systemd, &services);
}

const struct applet applet_fsvc_probe = {
	.name = "fsvc-probe",
	.run = run,
	.mounts = false,
	.summary = "shows what services there are, and what is mounted by them",
	.help = help,
};
