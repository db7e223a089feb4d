/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/service_config.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/parse.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MOUNTS 999999999

/* The kind of an option's value. */
enum kind {
	SWITCH, /* no value: sets a bool */
	NUMBER, /* unsigned int, not 0 */
	SIZE,   /* bytes, with an optional suffix K, M or G: uint64_t */
	PATH,   /* absolute path, added to a strv */
	LAYERS, /* names of sandbox layers, separated by commas: uint32_t */
	PASS,   /* the whole argument is added to a strv, for fsvc-open */
};

/* The name of an option with a value ends in '='. */
static const struct config_option {
	const char *name;
	enum kind kind;
	size_t offset; /* of the member of struct service_config */
} config_options[] = {
	{ "--service", SWITCH, offsetof(struct service_config, is_service) },
	{ "--as-itself", SWITCH, offsetof(struct service_config, keep_ids) },
	{ "--root-filesystem", SWITCH, offsetof(struct service_config, is_root_filesystem) },
	{ "--mounts=", NUMBER, offsetof(struct service_config, max_mounts) },
	{ "--mounts-of-user=", NUMBER, offsetof(struct service_config, max_mounts_per_user) },
	{ "--memory=", SIZE, offsetof(struct service_config, limits.memory) },
	{ "--processes=", NUMBER, offsetof(struct service_config, limits.processes) },
	{ "--show=", PATH, offsetof(struct service_config, extra_paths) },
	{ "--allow-missing=", LAYERS, offsetof(struct service_config, optional_layers) },
	{ "--read-only", PASS, offsetof(struct service_config, broker_options) },
	{ "--as-root", PASS, offsetof(struct service_config, broker_options) },
	{ "--options=", PASS, offsetof(struct service_config, broker_options) },
	{ "--package=", PASS, offsetof(struct service_config, broker_options) },
};

/* Print a usage error. ORIGIN is the prefix for a line of a file, or NULL for the command line. */
static void __attribute__((format(printf, 2, 3)))
report(const char *origin, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (origin)
		diag_error("%s%s", origin, text);
	else
		diag_usage_error("%s", text);
}

/*
 * Return the option that ARGUMENT sets, or NULL. Store its value, or NULL if it has none, in
 * *VALUEP.
 */
static const struct config_option *find_option(const char *argument, const char **valuep)
{
	for (size_t i = 0; i < ARRAY_SIZE(config_options); i++) {
		const char *name = config_options[i].name;
		size_t length = strcspn(name, "=");
		const char *rest = argument + length;

		if (strncmp(argument, name, length) != 0 || (*rest && *rest != '='))
			continue;
		*valuep = *rest ? rest + 1 : NULL;
		return &config_options[i];
	}
	return NULL;
}

static int parse_count(const char *value, unsigned int *count)
{
	unsigned int number;

	if (parse_number(value, MAX_MOUNTS, &number) < 0 || number == 0)
		return -EINVAL;
	*count = number;
	return 0;
}

static int parse_size(const char *value, uint64_t *size)
{
	static const char units[] = "KMG";
	char digits[16];
	size_t length = strspn(value, "0123456789");
	const char *unit = value[length] ? strchr(units, value[length]) : NULL;
	unsigned int number;

	if (length >= sizeof(digits) || (value[length] && (!unit || value[length + 1])))
		return -EINVAL;
	snprintf(digits, sizeof(digits), "%.*s", (int)length, value);
	if (parse_number(digits, UINT_MAX, &number) < 0 || number == 0)
		return -EINVAL;
	*size = (uint64_t)number << (unit ? 10 * (unit - units + 1) : 0);
	return 0;
}

static int parse_path(const char *value, struct strv *paths)
{
	size_t length = strlen(value);

	if (value[0] != '/' || value[length - 1] == '/' || length >= PATH_MAX ||
	    strstr(value, "/../") || strstr(value, "//") ||
	    (length >= 3 && strcmp(value + length - 3, "/..") == 0))
		return -EINVAL;
	strv_add(paths, value);
	return 0;
}

static int parse_layers(const char *value, uint32_t *layers)
{
	for (size_t length; *value; value += length + (value[length] == ',')) {
		size_t i = 0;

		length = strcspn(value, ",");
		while (i < sandbox_layer_count &&
		       (strlen(sandbox_layers[i].name) != length ||
			strncmp(sandbox_layers[i].name, value, length) != 0))
			i++;
		if (i == sandbox_layer_count)
			return -EINVAL;
		*layers |= 1U << i;
	}
	return 0;
}

static int set_option(struct service_config *config, const struct config_option *option,
		      const char *argument, const char *value)
{
	void *member = (char *)config + option->offset;

	switch (option->kind) {
	case SWITCH:
		*(bool *)member = true;
		return 0;
	case NUMBER:
		return parse_count(value, member);
	case SIZE:
		return parse_size(value, member);
	case PATH:
		return parse_path(value, member);
	case LAYERS:
		return parse_layers(value, member);
	case PASS:
		strv_add(member, argument);
		return 0;
	}
	return -EINVAL;
}

static void report_invalid_layers(const char *value, const char *origin)
{
	char names[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < sandbox_layer_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 sandbox_layers[i].name);
	report(origin, "invalid argument '%s' for '--allow-missing'; valid arguments are %s", value,
	       names);
}

static int parse_option(struct service_config *config, const char *argument, const char *origin)
{
	const char *value = NULL;
	const struct config_option *option = find_option(argument, &value);
	int length = option ? (int)strcspn(option->name, "=") : 0;
	bool wants_value = option && option->name[length];

	if (!option)
		report(origin, "unrecognized option '%s'", argument);
	else if (wants_value && (!value || !*value))
		report(origin, "option '%.*s' requires an argument", length, option->name);
	else if (!wants_value && value)
		report(origin, "option '%s' doesn't allow an argument", option->name);
	else if (set_option(config, option, argument, value) == 0)
		return 0;
	else if (option->kind == LAYERS)
		report_invalid_layers(value, origin);
	else
		report(origin, "invalid argument '%s' for '%.*s'", value, length, option->name);
	return -EINVAL;
}

/* Names that begin with a dot are reserved in the socket directory. */
static bool is_type(const char *argument)
{
	return *argument && *argument != '.' && !strchr(argument, '/');
}

static int parse_operand(struct service_config *config, const char *argument, const char *origin)
{
	if (config->type) {
		report(origin, "extra operand '%s'", argument);
		return -EINVAL;
	}
	if (!is_type(argument)) {
		report(origin, "invalid type '%s'", argument);
		return -EINVAL;
	}
	config->type = strdup(argument);
	return config->type ? 0 : -ENOMEM;
}

static int add_server(struct service_config *config, char *const *argv, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strv_add(&config->server, argv[i]);
	/* The program may lie outside the directories that the sandbox shows. */
	if (config->server.argv && config->server.argv[0][0] == '/')
		strv_add(&config->extra_paths, config->server.argv[0]);
	if (config->is_root_filesystem)
		strv_add(&config->broker_options, "--root-filesystem");
	return config->server.failed || config->broker_options.failed || config->extra_paths.failed
		       ? -ENOMEM
		       : 0;
}

static int parse(struct service_config *config, char *const *argv, size_t count, const char *origin)
{
	size_t i = 0;

	for (; i < count && strcmp(argv[i], "--") != 0; i++) {
		int error = argv[i][0] == '-' ? parse_option(config, argv[i], origin)
					      : parse_operand(config, argv[i], origin);

		if (error < 0)
			return error;
	}
	if (!config->type || i + 1 >= count) {
		report(origin, "missing %s operand", config->type ? "SERVER" : "TYPE");
		return -EINVAL;
	}
	return add_server(config, argv + i + 1, count - i - 1);
}

static void free_config(struct service_config *config)
{
	free(config->type);
	strv_free(&config->server);
	strv_free(&config->broker_options);
	strv_free(&config->extra_paths);
}

int service_configs_add(struct service_configs *configs, char *const *argv, size_t count,
			const char *origin)
{
	struct service_config config = SERVICE_CONFIG_DEFAULT, *list;
	int error = parse(&config, argv, count, origin);

	list = error < 0 ? NULL : array_grow(configs->list, configs->count, sizeof(*list));
	if (!list) {
		free_config(&config);
		return error < 0 ? error : -ENOMEM;
	}
	configs->list = list;
	list[configs->count++] = config;
	return 0;
}

static int add_line(struct service_configs *configs, char *line, const char *origin)
{
	_cleanup_strv_ struct strv argv = { 0 };
	char *rest = NULL;

	for (char *argument = strtok_r(line, " \t\n", &rest); argument && *argument != '#';
	     argument = strtok_r(NULL, " \t\n", &rest))
		strv_add(&argv, argument);
	if (argv.failed)
		return -ENOMEM;
	return argv.count ? service_configs_add(configs, argv.argv, argv.count, origin) : 0;
}

int service_configs_read(struct service_configs *configs, FILE *file, const char *name)
{
	_cleanup_free_ char *line = NULL;
	char origin[PATH_MAX + 32];
	ssize_t length;
	size_t size = 0;
	int error = 0;

	for (int number = 1; error == 0 && (length = getline(&line, &size, file)) >= 0; number++) {
		snprintf(origin, sizeof(origin), "%s:%d: ", name, number);
		if (memchr(line, '\0', (size_t)length)) {
			diag_error("%snot a text file: the line contains a null character", origin);
			error = -EINVAL;
		} else {
			error = add_line(configs, line, origin);
		}
	}
	if (error == 0 && ferror(file)) {
		error = -errno;
		diag_error("%s: cannot read: %s", name, strerror(-error));
	}
	return error;
}

void service_configs_free(struct service_configs *configs)
{
	for (size_t i = 0; i < configs->count; i++)
		free_config(&configs->list[i]);
	free(configs->list);
	*configs = (struct service_configs){ 0 };
}
