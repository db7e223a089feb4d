/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/service_config.h"

#include "base/array.h"
#include "base/diag.h"
#include "base/parse.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What a value is, and where it goes. */
enum kind {
	SWITCH, /* none: a bool */
	NUMBER, /* an unsigned int, not 0 */
	SIZE,   /* bytes, with K, M or G behind: a uint64_t */
	PATH,   /* an absolute path: one more among words */
	PIECES, /* names of pieces, separated by commas: a uint32_t */
	PASS,   /* the whole word is for fsvc-open: one more among words */
};

/* A name that ends with '=' has a value. */
static const struct option {
	const char *name;
	enum kind kind;
	size_t place;
} options[] = {
	{ "--service", SWITCH, offsetof(struct service_config, is_service) },
	{ "--as-itself", SWITCH, offsetof(struct service_config, as_itself) },
	{ "--root-filesystem", SWITCH, offsetof(struct service_config, root_filesystem) },
	{ "--mounts=", NUMBER, offsetof(struct service_config, most) },
	{ "--mounts-of-user=", NUMBER, offsetof(struct service_config, most_of_user) },
	{ "--memory=", SIZE, offsetof(struct service_config, limits.memory) },
	{ "--processes=", NUMBER, offsetof(struct service_config, limits.processes) },
	{ "--show=", PATH, offsetof(struct service_config, paths) },
	{ "--allow-missing=", PIECES, offsetof(struct service_config, allowed) },
	{ "--read-only", PASS, offsetof(struct service_config, opener) },
	{ "--as-root", PASS, offsetof(struct service_config, opener) },
	{ "--options=", PASS, offsetof(struct service_config, opener) },
	{ "--package=", PASS, offsetof(struct service_config, opener) },
};

/* The option that WORD is, and its value, "" for none; or NULL. */
static const struct option *find(const char *word, const char **value)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		size_t length = strlen(options[i].name);

		*value = word + length;
		if (strncmp(word, options[i].name, length) == 0 &&
		    (options[i].name[length - 1] == '=' ? **value : !**value))
			return &options[i];
	}
	return NULL;
}

static int take_number(const char *value, unsigned int *number)
{
	unsigned int parsed;

	if (parse_number(value, 999999999, &parsed) < 0 || parsed == 0)
		return -EINVAL;
	*number = parsed;
	return 0;
}

static int take_size(const char *value, uint64_t *size)
{
	static const char units[] = "KMG";
	char *rest;
	const char *unit;
	unsigned long long number;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	number = strtoull(value, &rest, 10);
	unit = *rest ? strchr(units, *rest) : NULL;
	if (number == 0 || number > UINT_MAX || (*rest && (!unit || rest[1])))
		return -EINVAL;
	*size = (uint64_t)number << (unit ? 10 * (unit - units + 1) : 0);
	return 0;
}

static int take_path(const char *value, struct strv *paths)
{
	size_t length = strlen(value);

	if (value[0] != '/' || value[length - 1] == '/' || length >= PATH_MAX ||
	    strstr(value, "/../") || strstr(value, "//") ||
	    (length >= 3 && strcmp(value + length - 3, "/..") == 0))
		return -EINVAL;
	strv_add(paths, value);
	return 0;
}

static int take_pieces(const char *value, uint32_t *pieces)
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
		*pieces |= 1U << i;
	}
	return 0;
}

static int take(struct service_config *config, const char *word)
{
	const char *value;
	const struct option *option = find(word, &value);
	void *place = option ? (char *)config + option->place : NULL;

	if (!option)
		return -EINVAL;
	switch (option->kind) {
	case SWITCH:
		*(bool *)place = true;
		return 0;
	case NUMBER:
		return take_number(value, place);
	case SIZE:
		return take_size(value, place);
	case PATH:
		return take_path(value, place);
	case PIECES:
		return take_pieces(value, place);
	case PASS:
		strv_add(place, word);
		return 0;
	}
	return -EINVAL;
}

static void complain(const char *word, const char *where)
{
	const char *value;
	const struct option *option = find(word, &value);
	char names[512] = "";
	size_t used = 0;

	if (!option || option->kind != PIECES) {
		diag_error("%swhat is '%s'? See --help", where, word);
		return;
	}
	for (size_t i = 0; i < sandbox_layer_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 sandbox_layers[i].name);
	diag_error("%swhat is '%s'? The pieces are: %s", where, word, names);
}

/* A name in the directory of sockets, where what begins with a dot is something else. */
static bool is_type(const char *word)
{
	return *word && *word != '.' && *word != '-' && !strchr(word, '/');
}

static int parse(struct service_config *config, char *const *words, size_t count, const char *where)
{
	size_t i = 0;

	for (; i < count && strcmp(words[i], "--") != 0; i++) {
		if (is_type(words[i]) && !config->type) {
			config->type = strdup(words[i]);
		} else if (take(config, words[i]) < 0) {
			complain(words[i], where);
			return -EINVAL;
		}
	}
	if (!config->type || i + 1 >= count) {
		diag_error("%sno %s: [OPTIONS] TYPE -- SERVER [ARGUMENTS]", where,
			   config->type ? "server" : "type");
		return -EINVAL;
	}
	for (i++; i < count; i++)
		strv_add(&config->server, words[i]);
	/* A program that is in no usual place. */
	if (config->server.argv && config->server.argv[0][0] == '/')
		strv_add(&config->paths, config->server.argv[0]);
	if (config->root_filesystem)
		strv_add(&config->opener, "--root-filesystem");
	return config->server.failed || config->opener.failed || config->paths.failed ? -ENOMEM : 0;
}

static void free_offer(struct service_config *config)
{
	free(config->type);
	strv_free(&config->server);
	strv_free(&config->opener);
	strv_free(&config->paths);
}

int service_configs_add(struct service_configs *configs, char *const *words, size_t count,
			const char *where)
{
	struct service_config config = SERVICE_CONFIG_DEFAULT, *list;
	int error = parse(&config, words, count, where);

	list = error < 0 ? NULL
			 : reallocarray(configs->list, configs->count + 1, sizeof(*configs->list));
	if (!list) {
		free_offer(&config);
		return error < 0 ? error : -ENOMEM;
	}
	configs->list = list;
	list[configs->count++] = config;
	return 0;
}

static int add_line(struct service_configs *configs, char *line, const char *where)
{
	_cleanup_strv_ struct strv words = { 0 };
	char *rest = NULL;

	for (char *word = strtok_r(line, " \t\n", &rest); word && *word != '#';
	     word = strtok_r(NULL, " \t\n", &rest))
		strv_add(&words, word);
	if (words.failed)
		return -ENOMEM;
	return words.count ? service_configs_add(configs, words.argv, words.count, where) : 0;
}

int service_configs_read(struct service_configs *configs, FILE *file, const char *name)
{
	char *line = NULL, where[PATH_MAX + 32];
	ssize_t length;
	size_t room = 0;
	int error = 0;

	for (int number = 1; error == 0 && (length = getline(&line, &room, file)) >= 0; number++) {
		snprintf(where, sizeof(where), "%s:%d: ", name, number);
		if (memchr(line, '\0', (size_t)length)) {
			diag_error("%sthat is no text", where);
			error = -EINVAL;
		} else {
			error = add_line(configs, line, where);
		}
	}
	if (error == 0 && ferror(file)) {
		error = -errno;
		diag_error("%s: %s", name, strerror(-error));
	}
	free(line);
	return error;
}

void service_configs_free(struct service_configs *configs)
{
	for (size_t i = 0; i < configs->count; i++)
		free_offer(&configs->list[i]);
	free(configs->list);
	*configs = (struct service_configs){ 0 };
}
