/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-probe: lists services and the mounts made by them. It connects to a service only with
 * --hello.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/parse.h"
#include "config.h"
#include "probe/service_list.h"
#include "probe/table.h"
#include "probe/unit_report.h"
#include "protocol/mount_args.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>

#define DEFAULT_TIMEOUT_S 30

static const char help[] =
	"Usage: fsvc-probe [OPTIONS] [TYPE...]\n"
	"       fsvc-probe --mounts [OPTIONS] [TYPE...]\n"
	"       fsvc-probe --check TYPE...\n"
	"\n"
	"List the services and whether you may use them; or the given TYPEs in detail, with the\n"
	"restrictions of their sandbox; or the mounts made by services. No service is started or\n"
	"contacted, except with --hello.\n"
	"\n"
	"Options:\n"
	"  -m, --mounts          list the mounts made by services\n"
	"  --hello               connect to each service (or to the given TYPEs), complete the\n"
	"                        handshake, and disconnect\n"
	"  --timeout SECONDS     time limit of --hello; default: 30\n"
	"  --check               suppress messages; only set the exit status: 0 if there is a service\n"
	"                        for each TYPE that you may use, otherwise 1\n"
	"  -J, --json            use JSON output format\n"
	"  -r, --raw             use raw output format\n"
	"  -n, --noheadings      do not print headings\n"
	"  -o, --output COLUMNS  print these columns, separated by commas; with a '+' in front, in\n"
	"                        addition to the default ones\n"
	"  -O, --output-all      print all columns\n"
	"  --help                print this help and exit\n"
	"  --version             print the version and exit\n"
	"\n"
	"Columns of services: TYPE, STATE (ready, not-listening, refused, unsafe), SOCKET, UNIT,\n"
	"ENABLED, MOUNTS, CONNECTIONS, LIMIT, SERVICE, SERVER, REASON; with --hello: VERSION, TIME,\n"
	"FAILURE; in detail: EXPOSURE, SANDBOX, OPEN.\n"
	"Columns of mounts: SOURCE, TARGET, TYPE, USER, UID, PID, UNIT, MEMORY, SINCE.\n"
	"\n"
	"Exit status: 0 on success; 1 if an argument is invalid, or if a TYPE has no service or does\n"
	"not answer.\n";

/* Sets of columns. */
enum {
	LIST = 1 << 0, /* default */
	JSON = 1 << 1,
	DETAIL = 1 << 2,
	HELLO = 1 << 3,
	SANDBOX = 1 << 4, /* needs many calls to systemd */
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

struct probe_options {
	bool mounts, hello, check, all_columns;
	unsigned int timeout; /* of --hello, in seconds */
	const char *columns;  /* of --output, or NULL */
	char **types;         /* operands */
	size_t type_count;    /* 0: all types */
	struct table_selection selection;
};

enum { HELLO_OPTION = 256, CHECK_OPTION, TIMEOUT_OPTION };

static const struct option long_options[] = {
	{ "mounts", no_argument, NULL, 'm' },
	{ "hello", no_argument, NULL, HELLO_OPTION },
	{ "timeout", required_argument, NULL, TIMEOUT_OPTION },
	{ "check", no_argument, NULL, CHECK_OPTION },
	{ "json", no_argument, NULL, 'J' },
	{ "raw", no_argument, NULL, 'r' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "output-all", no_argument, NULL, 'O' },
	{ 0 },
};

static int set_timeout(struct probe_options *options, const char *value)
{
	if (parse_seconds(value, 1, &options->timeout) == 0)
		return 0;
	diag_usage_error("invalid argument '%s' for '--timeout': must be 1 to %d seconds", value,
			 MAX_SECONDS);
	return -EINVAL;
}

static int set_option(struct probe_options *options, int option, char *const *argv)
{
	switch (option) {
	case 'm':
		options->mounts = true;
		return 0;
	case HELLO_OPTION:
		options->hello = true;
		return 0;
	case TIMEOUT_OPTION:
		return set_timeout(options, optarg);
	case CHECK_OPTION:
		options->check = true;
		return 0;
	case 'J':
		options->selection.style = TABLE_JSON;
		return 0;
	case 'r':
		options->selection.style = TABLE_RAW;
		return 0;
	case 'n':
		options->selection.headings = false;
		return 0;
	case 'o':
		options->columns = optarg;
		return 0;
	case 'O':
		options->all_columns = true;
		return 0;
	default:
		diag_getopt_error(option, argv);
		return -EINVAL;
	}
}

/* Select the columns and the style. */
static int select_columns(struct probe_options *options)
{
	const struct table_column *columns = options->mounts ? mount_columns : service_columns;
	bool details = options->type_count > 0 && !options->mounts && !options->hello;
	const char *wrong;
	unsigned int sets = LIST;

	if (options->all_columns)
		sets = ALL;
	else if (options->hello)
		sets = HELLO;
	else if (details)
		sets = DETAIL;
	else if (options->selection.style == TABLE_JSON && !options->mounts)
		sets = JSON;
	if (details && options->selection.style == TABLE_ALIGNED && !options->columns)
		options->selection.style = TABLE_DETAILS;
	if (table_select(columns, sets, options->columns, &options->selection, &wrong) == 0)
		return 0;
	diag_usage_error("unknown column '%.*s'", (int)strcspn(wrong, ","), wrong);
	return -EINVAL;
}

static int parse(struct probe_options *options, int argc, char **argv)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":mJrno:O", long_options, NULL)) >= 0)
		if (set_option(options, option, argv) < 0)
			return -EINVAL;
	options->types = argv + optind;
	options->type_count = (size_t)(argc - optind);
	if (options->check && (options->mounts || options->hello)) {
		diag_usage_error("options '--check' and '%s' cannot be used together",
				 options->mounts ? "--mounts" : "--hello");
		return -EINVAL;
	}
	if (options->check && options->type_count == 0) {
		diag_usage_error("option '--check': missing TYPE operand");
		return -EINVAL;
	}
	if (options->mounts && options->hello) {
		diag_usage_error("options '--mounts' and '--hello' cannot be used together");
		return -EINVAL;
	}
	return select_columns(options);
}

/* Return true if TYPE is among the operands, or if there are none. An operand may have the form of
 * mount -t: "fuse.TYPE". */
static bool is_requested(const struct probe_options *options, const char *type)
{
	for (size_t i = 0; i < options->type_count; i++) {
		const char *subtype = mount_args_subtype(options->types[i]);

		if (subtype && strcmp(subtype, type) == 0)
			return true;
	}
	return options->type_count == 0;
}

static int print_table(const struct probe_options *options, const struct table *table)
{
	int error = table_print(table, &options->selection);

	if (error < 0)
		diag_error("cannot write to standard output: %s", strerror(-error));
	return error < 0;
}

static int fail_services(int error)
{
	diag_error(SERVICE_SOCKET_DIR ": cannot list the services: %s", strerror(-error));
	return 1;
}

static int fail_mounts(int error)
{
	diag_error("/proc/self/mountinfo and /run/mount/utab: cannot read: %s", strerror(-error));
	return 1;
}

static int show_mounts(const struct probe_options *options, const struct mount_list *mounts)
{
	_cleanup_free_ const void **rows = calloc(mounts->count + 1, sizeof(*rows));
	struct table table = {
		.name = "mounts", .columns = mount_columns, .colours = colours, .rows = rows
	};

	if (!rows)
		return fail_mounts(-ENOMEM);
	for (size_t i = 0; i < mounts->count; i++)
		if (is_requested(options, mounts->items[i].type))
			rows[table.row_count++] = &mounts->items[i];
	return print_table(options, &table);
}

/* Return true if SERVICES contain TYPE. If READY is set, it must also be ready. */
static bool has_service(const struct service_list *services, const char *type, bool ready)
{
	const char *subtype = mount_args_subtype(type);

	for (size_t i = 0; subtype && i < services->count; i++) {
		const struct service_info *service = &services->items[i];

		if (strcmp(service->type, subtype) == 0 &&
		    (!ready || strcmp(service->state, SERVICE_READY) == 0))
			return true;
	}
	return false;
}

/* Return true if each operand has a service that is ready. */
static bool all_are_ready(const struct probe_options *options, const struct service_list *services)
{
	for (size_t i = 0; i < options->type_count; i++)
		if (!has_service(services, options->types[i], true))
			return false;
	return true;
}

/* Report operands without a service. Return true if every operand has one. */
static bool report_missing(const struct probe_options *options, const struct service_list *services)
{
	bool complete = true;

	for (size_t i = 0; i < options->type_count; i++) {
		if (has_service(services, options->types[i], false))
			continue;
		diag_error("%s: no service: neither a socket nor a unit exists", options->types[i]);
		complete = false;
	}
	return complete;
}

/* Fill in the columns about the sandbox of the selected services. */
static void load_sandbox_columns(struct systemd *systemd, struct service_list *services)
{
	for (size_t i = 0; i < services->count; i++) {
		struct service_info *service = &services->items[i];

		if (service->is_selected && service->service &&
		    unit_report_describe(systemd, service->service, &service->closed,
					 &service->open) == 0 &&
		    service->closed)
			service->exposure = unit_report_exposure(service->service);
	}
}

static int show_services(const struct probe_options *options, struct systemd *systemd,
			 struct service_list *services)
{
	_cleanup_free_ const void **rows = calloc(services->count + 1, sizeof(*rows));
	struct table table = {
		.name = "services", .columns = service_columns, .colours = colours, .rows = rows
	};
	bool success = report_missing(options, services);

	if (!rows)
		return fail_services(-ENOMEM);
	for (size_t i = 0; i < services->count; i++) {
		struct service_info *service = &services->items[i];

		/* Without operands, --hello skips sockets on which no process listens. */
		service->is_selected = is_requested(options, service->type) &&
				       !(options->hello && options->type_count == 0 &&
					 strcmp(service->state, SERVICE_NOT_LISTENING) == 0);
		if (service->is_selected)
			rows[table.row_count++] = service;
	}
	if (options->hello)
		success &= service_list_handshake(services, options->timeout) == 0;
	else if (systemd && table_selection_includes(&options->selection, SANDBOX))
		load_sandbox_columns(systemd, services);
	return print_table(options, &table) || !success;
}

static bool use_colours(void)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!no_colour || !*no_colour) &&
	       (!terminal || strcmp(terminal, "dumb") != 0);
}

static int run(int argc, char **argv)
{
	_cleanup_mount_list_ struct mount_list mounts = { 0 };
	_cleanup_service_list_ struct service_list services = { 0 };
	_cleanup_systemd_ struct systemd *systemd = NULL;
	struct probe_options options = {
		.timeout = DEFAULT_TIMEOUT_S,
		.selection = { .headings = true, .colours = use_colours() },
	};
	int error;

	/* libsmartcols needs the width of characters. */
	setlocale(LC_CTYPE, "");
	if (parse(&options, argc, argv) < 0)
		return 1;
	error = options.check ? 0 : mount_list_load(&mounts);
	if (error < 0)
		return fail_mounts(error);
	if (options.mounts)
		return show_mounts(&options, &mounts);
	error = options.check ? -ENOSYS : systemd_open(&systemd);
	if (error < 0 && error != -ENOSYS)
		diag_warning("cannot connect to systemd: %s", strerror(-error));
	error = service_list_load(&services, systemd, &mounts);
	if (options.check)
		return error < 0 || !all_are_ready(&options, &services);
	return error < 0 ? fail_services(error) : show_services(&options, systemd, &services);
}

const struct applet applet_fsvc_probe = {
	.name = "fsvc-probe",
	.run = run,
	.mounts = false,
	.summary = "list services, sandboxes and mounts",
	.help = help,
};
