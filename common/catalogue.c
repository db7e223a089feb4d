/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "catalogue.h"

#include "cleanup.h"
#include "diag.h"
#include "grow.h"
#include "handshake.h"
#include "listening.h"
#include "socketdir.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

/* What is stored at an index that gcc's analyzer does not know, it takes for lost. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Units with such a name are services of ours, installed or running. */
#define UNIT_PREFIX  "fsvc-"
#define UNIT_SUFFIX  ".socket"
#define UNIT_PATTERN UNIT_PREFIX "*" UNIT_SUFFIX

/* It runs the server that its command line names behind "--". */
#define RUNNER "fsvc-open"

/* A row for TYPE. Returns it, or NULL. */
static struct listed *add(struct catalogue *catalogue, const char *type)
{
	struct listed *items = grow(catalogue->items, catalogue->count, sizeof(*items)), *added;

	if (!items)
		return NULL;
	catalogue->items = items;
	added = &items[catalogue->count++];
	*added = (struct listed){
		.mounts = -1,
		.connections = -1,
		.limit = -1,
		.version = -1,
		.time = -1,
		.exposure = -1,
	};
	added->type = strdup(type);
	return added->type ? added : NULL;
}

static int add_sockets(struct catalogue *catalogue)
{
	__attribute__((cleanup(words_free))) struct words types = { 0 };
	int error = socketdir_list(&types);

	for (size_t i = 0; error == 0 && i < types.count; i++)
		if (!add(catalogue, types.argv[i]))
			error = -ENOMEM;
	return error;
}

/* The first word of a property; NULL where there is none. */
static char *text_of(struct systemd *systemd, const char *unit, const char *interface,
		     const char *property)
{
	__attribute__((cleanup(words_free))) struct words value = { 0 };

	if (systemd_property(systemd, unit, interface, property, &value) < 0 || value.count == 0 ||
	    !value.argv[0][0])
		return NULL;
	return strdup(value.argv[0]);
}

static int64_t number_of(struct systemd *systemd, const char *unit, const char *property)
{
	_cleanup_free_ char *text = text_of(systemd, unit, SYSTEMD_SOCKET, property);

	return text ? strtoll(text, NULL, 10) : -1;
}

/* The type that UNIT is the socket of, by where it listens or else by its name; or NULL. */
static char *type_of(struct systemd *systemd, const char *unit)
{
	__attribute__((cleanup(words_free))) struct words listen = { 0 };
	const char *type = NULL;

	systemd_property(systemd, unit, SYSTEMD_SOCKET, "Listen", &listen);
	for (size_t i = 0; i < listen.count && !type; i++)
		type = socketdir_type(listen.argv[i]);
	if (type)
		return strdup(type);
	if (fnmatch(UNIT_PATTERN, unit, 0) != 0)
		return NULL;
	unit += strlen(UNIT_PREFIX);
	return strndup(unit, strlen(unit) - strlen(UNIT_SUFFIX));
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The server's program, by the command line of SERVICE. */
static char *server_of(struct systemd *systemd, const char *service)
{
	__attribute__((cleanup(words_free))) struct words command = { 0 };
	size_t at = 0;

	/* The program's path, the words of its command line, and more. */
	systemd_property(systemd, service, SYSTEMD_SERVICE, "ExecStart", &command);
	if (command.count == 0)
		return NULL;
	if (strcmp(last_part(command.argv[0]), RUNNER) == 0)
		while (at < command.count && strcmp(command.argv[at++], "--") != 0)
			;
	return at < command.count ? strdup(last_part(command.argv[at])) : NULL;
}

static int add_unit(struct catalogue *catalogue, struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *type = type_of(systemd, unit);
	struct listed *listed = NULL;

	if (!type)
		return 0;
	for (size_t i = 0; i < catalogue->count && !listed; i++)
		if (strcmp(catalogue->items[i].type, type) == 0 && !catalogue->items[i].unit)
			listed = &catalogue->items[i];
	if (!listed)
		listed = add(catalogue, type);
	if (!listed)
		return -ENOMEM;
	listed->unit = strdup(unit);
	listed->enabled = text_of(systemd, unit, SYSTEMD_UNIT, "UnitFileState");
	listed->connections = number_of(systemd, unit, "NConnections");
	listed->limit = number_of(systemd, unit, "MaxConnections");
	/* A connection's service is an instance of the template that is called as the socket is. */
	if (asprintf(&listed->service, "%.*s@.service", (int)(strlen(unit) - strlen(UNIT_SUFFIX)),
		     unit) < 0) {
		listed->service = NULL;
		return -ENOMEM;
	}
	listed->server = server_of(systemd, listed->service);
	return listed->unit ? 0 : -ENOMEM;
}

static int add_units(struct catalogue *catalogue, struct systemd *systemd)
{
	__attribute__((cleanup(words_free))) struct words units = { 0 };
	int error = systemd_list_sockets(systemd, UNIT_PATTERN, &units);

	for (size_t i = 0; error == 0 && i < units.count; i++)
		error = add_unit(catalogue, systemd, units.argv[i]);
	return error;
}

/* As the mount helper would look at it, but for the connection. */
static void look(struct listed *listed, const struct listening *listening)
{
	int error = socketdir_find(listed->type, &listed->socket, &listed->reason);

	if (error == -EPERM)
		listed->state = LISTED_UNSAFE;
	else if (error == 0 && !listening_at(listening, listed->socket))
		listed->state = LISTED_NOT_LISTENING;
	else if (error == -EACCES || (error == 0 && access(listed->socket, W_OK) < 0))
		listed->state = LISTED_REFUSED;
	else
		listed->state = error < 0 ? LISTED_NOT_LISTENING : LISTED_READY;
}

static void count_mounts(struct listed *listed, const struct mounted_list *mounted)
{
	listed->mounts = 0;
	for (size_t i = 0; i < mounted->count; i++)
		listed->mounts += strcmp(mounted->items[i].type, listed->type) == 0;
}

static int by_type(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;

	return strcmp(one->type, other->type);
}

int catalogue_load(struct catalogue *catalogue, struct systemd *systemd,
		   const struct mounted_list *mounted)
{
	_cleanup_listening_ struct listening listening = { 0 };
	int error;

	*catalogue = (struct catalogue){ 0 };
	error = add_sockets(catalogue);
	if (error == 0 && systemd) {
		int asked = add_units(catalogue, systemd);

		if (asked < 0)
			diag_warning("cannot ask systemd for its units: %s", strerror(-asked));
	}
	if (error == 0)
		error = listening_load(&listening);
	for (size_t i = 0; error == 0 && i < catalogue->count; i++) {
		look(&catalogue->items[i], &listening);
		count_mounts(&catalogue->items[i], mounted);
	}
	if (catalogue->count > 0)
		qsort(catalogue->items, catalogue->count, sizeof(*catalogue->items), by_type);
	return error;
}

/* What the person is told of ERROR. */
static const char *explain(const struct listed *listed, int error, unsigned int seconds, char *text,
			   size_t size)
{
	if (error == -EPERM && listed->reason)
		return listed->reason;
	if (error == -ENOENT || error == -ECONNREFUSED)
		return "nobody listens";
	if (error == -ECONNRESET || error == -EPIPE)
		return "hung up without an answer";
	if (error == -ETIMEDOUT)
		snprintf(text, size, "no answer within %u s", seconds);
	else if (error == -EPROTO && listed->version > 0)
		snprintf(text, size, "speaks version %" PRId64 " of the protocol, not %d",
			 listed->version, WIRE_VERSION);
	else if (error == -EPROTO)
		return "does not speak the protocol";
	else
		return strerror(-error);
	return text;
}

static void note(struct listed *listed, const struct handshake *tried, unsigned int seconds)
{
	char text[80];

	listed->version = tried->version > 0 ? tried->version : -1;
	listed->time = tried->milliseconds;
	if (tried->error < 0)
		listed->failure =
			strdup(explain(listed, tried->error, seconds, text, sizeof(text)));
}

int catalogue_greet(struct catalogue *catalogue, unsigned int seconds)
{
	_cleanup_free_ struct handshake *all = calloc(catalogue->count + 1, sizeof(*all));
	int error = all ? 0 : -ENOMEM;

	for (size_t i = 0; all && i < catalogue->count; i++) {
		const struct listed *listed = &catalogue->items[i];

		if (listed->chosen && strcmp(listed->state, LISTED_UNSAFE) != 0)
			all[i].path = listed->socket;
	}
	if (all)
		handshake_try(all, catalogue->count, seconds);
	for (size_t i = 0; all && i < catalogue->count; i++) {
		if (!catalogue->items[i].chosen)
			continue;
		note(&catalogue->items[i], &all[i], seconds);
		if (error == 0)
			error = all[i].error;
	}
	return error;
}

void catalogue_free(struct catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		struct listed *listed = &catalogue->items[i];
		char *const texts[] = { listed->type,    listed->socket, listed->unit,
					listed->enabled, listed->server, listed->service,
					listed->failure, listed->closed, listed->open };

		for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
			free(texts[t]);
	}
	free(catalogue->items);
	*catalogue = (struct catalogue){ 0 };
}
