/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/service_list.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/path.h"
#include "probe/unix_listeners.h"
#include "protocol/handshake.h"
#include "protocol/socket_dir.h"

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
static struct service_info *add(struct service_list *services, const char *type)
{
	struct service_info *items = array_grow(services->items, services->count, sizeof(*items)),
			    *added;

	if (!items)
		return NULL;
	services->items = items;
	added = &items[services->count++];
	*added = (struct service_info){
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

static int add_sockets(struct service_list *services)
{
	_cleanup_strv_ struct strv types = { 0 };
	int error = socket_dir_list_types(&types);

	for (size_t i = 0; error == 0 && i < types.count; i++)
		if (!add(services, types.argv[i]))
			error = -ENOMEM;
	return error;
}

/* The first word of a property; NULL where there is none. */
static char *text_of(struct systemd *systemd, const char *unit, const char *interface,
		     const char *property)
{
	_cleanup_strv_ struct strv value = { 0 };

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
	_cleanup_strv_ struct strv listen = { 0 };
	const char *type = NULL;

	systemd_property(systemd, unit, SYSTEMD_SOCKET, "Listen", &listen);
	for (size_t i = 0; i < listen.count && !type; i++)
		type = socket_dir_parse_type(listen.argv[i]);
	if (type)
		return strdup(type);
	if (fnmatch(UNIT_PATTERN, unit, 0) != 0)
		return NULL;
	unit += strlen(UNIT_PREFIX);
	return strndup(unit, strlen(unit) - strlen(UNIT_SUFFIX));
}

/* The server's program, by the command line of SERVICE. */
static char *server_of(struct systemd *systemd, const char *service)
{
	_cleanup_strv_ struct strv command = { 0 };
	size_t at = 0;

	/* The program's path, the words of its command line, and more. */
	systemd_property(systemd, service, SYSTEMD_SERVICE, "ExecStart", &command);
	if (command.count == 0)
		return NULL;
	if (strcmp(path_basename(command.argv[0]), RUNNER) == 0)
		while (at < command.count && strcmp(command.argv[at++], "--") != 0)
			;
	return at < command.count ? strdup(path_basename(command.argv[at])) : NULL;
}

static int add_unit(struct service_list *services, struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *type = type_of(systemd, unit);
	struct service_info *service = NULL;

	if (!type)
		return 0;
	for (size_t i = 0; i < services->count && !service; i++)
		if (strcmp(services->items[i].type, type) == 0 && !services->items[i].unit)
			service = &services->items[i];
	if (!service)
		service = add(services, type);
	if (!service)
		return -ENOMEM;
	service->unit = strdup(unit);
	service->enabled = text_of(systemd, unit, SYSTEMD_UNIT, "UnitFileState");
	service->connections = number_of(systemd, unit, "NConnections");
	service->limit = number_of(systemd, unit, "MaxConnections");
	/* A connection's service is an instance of the template that is called as the socket is. */
	if (asprintf(&service->service, "%.*s@.service", (int)(strlen(unit) - strlen(UNIT_SUFFIX)),
		     unit) < 0) {
		service->service = NULL;
		return -ENOMEM;
	}
	service->server = server_of(systemd, service->service);
	return service->unit ? 0 : -ENOMEM;
}

static int add_units(struct service_list *services, struct systemd *systemd)
{
	_cleanup_strv_ struct strv units = { 0 };
	int error = systemd_list_sockets(systemd, UNIT_PATTERN, &units);

	for (size_t i = 0; error == 0 && i < units.count; i++)
		error = add_unit(services, systemd, units.argv[i]);
	return error;
}

/* As the mount helper would look at it, but for the connection. */
static void look(struct service_info *service, const struct unix_listeners *listeners)
{
	int error = socket_dir_find(service->type, &service->socket, &service->reason);

	if (error == -EPERM)
		service->state = SERVICE_UNSAFE;
	else if (error == 0 && !unix_listeners_include(listeners, service->socket))
		service->state = SERVICE_NOT_LISTENING;
	else if (error == -EACCES || (error == 0 && access(service->socket, W_OK) < 0))
		service->state = SERVICE_REFUSED;
	else
		service->state = error < 0 ? SERVICE_NOT_LISTENING : SERVICE_READY;
}

static void count_mounts(struct service_info *service, const struct mount_list *mounted)
{
	service->mounts = 0;
	for (size_t i = 0; i < mounted->count; i++)
		service->mounts += strcmp(mounted->items[i].type, service->type) == 0;
}

static int by_type(const void *a, const void *b)
{
	const struct service_info *one = a, *other = b;

	return strcmp(one->type, other->type);
}

int service_list_load(struct service_list *services, struct systemd *systemd,
		      const struct mount_list *mounted)
{
	_cleanup_unix_listeners_ struct unix_listeners listeners = { 0 };
	int error;

	*services = (struct service_list){ 0 };
	error = add_sockets(services);
	if (error == 0 && systemd) {
		int asked = add_units(services, systemd);

		if (asked < 0)
			diag_warning("cannot ask systemd for its units: %s", strerror(-asked));
	}
	if (error == 0)
		error = unix_listeners_load(&listeners);
	for (size_t i = 0; error == 0 && i < services->count; i++) {
		look(&services->items[i], &listeners);
		count_mounts(&services->items[i], mounted);
	}
	if (services->count > 0)
		qsort(services->items, services->count, sizeof(*services->items), by_type);
	return error;
}

/* What the person is told of ERROR. */
static const char *explain(const struct service_info *service, int error, unsigned int seconds,
			   char *text, size_t size)
{
	if (error == -EPERM && service->reason)
		return service->reason;
	if (error == -ENOENT || error == -ECONNREFUSED)
		return "nobody listens";
	if (error == -ECONNRESET || error == -EPIPE)
		return "hung up without an answer";
	if (error == -ETIMEDOUT)
		snprintf(text, size, "no answer within %u s", seconds);
	else if (error == -EPROTO && service->version > 0)
		snprintf(text, size, "speaks version %" PRId64 " of the protocol, not %d",
			 service->version, WIRE_VERSION);
	else if (error == -EPROTO)
		return "does not speak the protocol";
	else
		return strerror(-error);
	return text;
}

static void note(struct service_info *service, const struct handshake *tried, unsigned int seconds)
{
	char text[80];

	service->version = tried->version > 0 ? tried->version : -1;
	service->time = tried->elapsed_ms;
	if (tried->error < 0)
		service->failure =
			strdup(explain(service, tried->error, seconds, text, sizeof(text)));
}

int service_list_probe(struct service_list *services, unsigned int seconds)
{
	_cleanup_free_ struct handshake *all = calloc(services->count + 1, sizeof(*all));
	int error = all ? 0 : -ENOMEM;

	for (size_t i = 0; all && i < services->count; i++) {
		const struct service_info *service = &services->items[i];

		if (service->chosen && strcmp(service->state, SERVICE_UNSAFE) != 0)
			all[i].path = service->socket;
	}
	if (all)
		handshake_try_all(all, services->count, seconds);
	for (size_t i = 0; all && i < services->count; i++) {
		if (!services->items[i].chosen)
			continue;
		note(&services->items[i], &all[i], seconds);
		if (error == 0)
			error = all[i].error;
	}
	return error;
}

void service_list_free(struct service_list *services)
{
	for (size_t i = 0; i < services->count; i++) {
		struct service_info *service = &services->items[i];
		char *const texts[] = { service->type,    service->socket, service->unit,
					service->enabled, service->server, service->service,
					service->failure, service->closed, service->open };

		for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
			free(texts[t]);
	}
	free(services->items);
	*services = (struct service_list){ 0 };
}
