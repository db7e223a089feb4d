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

/* False positive: gcc does not track pointers that are stored at an index it does not know. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* The names of socket units of fsvc. */
#define UNIT_PREFIX  "fsvc-"
#define UNIT_SUFFIX  ".socket"
#define UNIT_PATTERN UNIT_PREFIX "*" UNIT_SUFFIX

/* The program that runs the server named after "--". */
#define BROKER "fsvc-open"

/* Add a service of TYPE. Return it, or NULL if out of memory. */
static struct service_info *add_service(struct service_list *list, const char *type)
{
	struct service_info *items = array_grow(list->items, list->count, sizeof(*items)), *added;

	if (!items)
		return NULL;
	list->items = items;
	added = &items[list->count++];
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

static int add_sockets(struct service_list *list)
{
	_cleanup_strv_ struct strv types = { 0 };
	int error = socket_dir_list_types(&types);

	for (size_t i = 0; error == 0 && i < types.count; i++)
		if (!add_service(list, types.argv[i]))
			error = -ENOMEM;
	return error;
}

/* Return the first value of a property, which the caller frees; or NULL. */
static char *get_text(struct systemd *systemd, const char *unit, const char *interface,
		      const char *property)
{
	_cleanup_strv_ struct strv value = { 0 };

	if (systemd_get_property(systemd, unit, interface, property, &value) < 0 ||
	    value.count == 0 || !value.argv[0][0])
		return NULL;
	return strdup(value.argv[0]);
}

static int64_t get_number(struct systemd *systemd, const char *unit, const char *property)
{
	_cleanup_free_ char *text = get_text(systemd, unit, SYSTEMD_SOCKET, property);

	return text ? strtoll(text, NULL, 10) : -1;
}

/* Return the type of the socket unit UNIT, by its path or else by its name, which the caller frees;
 * or NULL. */
static char *get_type(struct systemd *systemd, const char *unit)
{
	_cleanup_strv_ struct strv listen = { 0 };
	const char *type = NULL;

	systemd_get_property(systemd, unit, SYSTEMD_SOCKET, "Listen", &listen);
	for (size_t i = 0; i < listen.count && !type; i++)
		type = socket_dir_parse_type(listen.argv[i]);
	if (type)
		return strdup(type);
	if (fnmatch(UNIT_PATTERN, unit, 0) != 0)
		return NULL;
	unit += strlen(UNIT_PREFIX);
	return strndup(unit, strlen(unit) - strlen(UNIT_SUFFIX));
}

/* Return the file name of the server that SERVICE runs, which the caller frees; or NULL. */
static char *get_server(struct systemd *systemd, const char *service)
{
	_cleanup_strv_ struct strv command = { 0 };
	size_t i = 0;

	/* The values are the path of the program, its arguments, and more. */
	systemd_get_property(systemd, service, SYSTEMD_SERVICE, "ExecStart", &command);
	if (command.count == 0)
		return NULL;
	if (strcmp(path_basename(command.argv[0]), BROKER) == 0)
		while (i < command.count && strcmp(command.argv[i++], "--") != 0)
			;
	return i < command.count ? strdup(path_basename(command.argv[i])) : NULL;
}

static int add_unit(struct service_list *list, struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *type = get_type(systemd, unit);
	struct service_info *service = NULL;

	if (!type)
		return 0;
	for (size_t i = 0; i < list->count && !service; i++)
		if (strcmp(list->items[i].type, type) == 0 && !list->items[i].unit)
			service = &list->items[i];
	if (!service)
		service = add_service(list, type);
	if (!service)
		return -ENOMEM;
	service->unit = strdup(unit);
	service->enabled = get_text(systemd, unit, SYSTEMD_UNIT, "UnitFileState");
	service->connections = get_number(systemd, unit, "NConnections");
	service->limit = get_number(systemd, unit, "MaxConnections");
	/* With Accept=yes, NAME.socket starts instances of NAME@.service. */
	if (asprintf(&service->service, "%.*s@.service", (int)(strlen(unit) - strlen(UNIT_SUFFIX)),
		     unit) < 0) {
		service->service = NULL;
		return -ENOMEM;
	}
	service->server = get_server(systemd, service->service);
	return service->unit ? 0 : -ENOMEM;
}

static int add_units(struct service_list *list, struct systemd *systemd)
{
	_cleanup_strv_ struct strv units = { 0 };
	int error = systemd_list_sockets(systemd, UNIT_PATTERN, &units);

	for (size_t i = 0; error == 0 && i < units.count; i++)
		error = add_unit(list, systemd, units.argv[i]);
	return error;
}

/* Set the state, by the same checks as the mount helper, but without connecting. */
static void set_state(struct service_info *service, const struct unix_listeners *listeners)
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

static void count_mounts(struct service_info *service, const struct mount_list *mounts)
{
	service->mounts = 0;
	for (size_t i = 0; i < mounts->count; i++)
		service->mounts += strcmp(mounts->items[i].type, service->type) == 0;
}

static int compare_types(const void *a, const void *b)
{
	const struct service_info *one = a, *other = b;

	return strcmp(one->type, other->type);
}

int service_list_load(struct service_list *list, struct systemd *systemd,
		      const struct mount_list *mounts)
{
	_cleanup_unix_listeners_ struct unix_listeners listeners = { 0 };
	int error;

	*list = (struct service_list){ 0 };
	error = add_sockets(list);
	if (error == 0 && systemd) {
		int result = add_units(list, systemd);

		if (result < 0)
			diag_warning("cannot list the units of systemd: %s", strerror(-result));
	}
	if (error == 0)
		error = unix_listeners_load(&listeners);
	for (size_t i = 0; error == 0 && i < list->count; i++) {
		set_state(&list->items[i], &listeners);
		count_mounts(&list->items[i], mounts);
	}
	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), compare_types);
	return error;
}

/* Return the text for ERROR of a handshake. It is written to TEXT if it is not constant. */
static const char *describe_failure(const struct service_info *service, int error,
				    unsigned int seconds, char *text, size_t size)
{
	if (error == -EPERM && service->reason)
		return service->reason;
	if (error == -ENOENT || error == -ECONNREFUSED)
		return "no process listens on the socket";
	if (error == -ECONNRESET || error == -EPIPE)
		return "closed the connection without an answer";
	if (error == -ETIMEDOUT)
		snprintf(text, size, "no answer within %u s", seconds);
	else if (error == -EPROTO && service->version > 0)
		snprintf(text, size, "supports version %" PRId64 " of the protocol, not %d",
			 service->version, WIRE_VERSION);
	else if (error == -EPROTO)
		return "does not support the protocol";
	else
		return strerror(-error);
	return text;
}

static void set_result(struct service_info *service, const struct handshake *handshake,
		       unsigned int seconds)
{
	char text[80];

	service->version = handshake->version > 0 ? handshake->version : -1;
	service->time = handshake->elapsed_ms;
	if (handshake->error < 0)
		service->failure = strdup(
			describe_failure(service, handshake->error, seconds, text, sizeof(text)));
}

int service_list_handshake(struct service_list *list, unsigned int seconds)
{
	_cleanup_free_ struct handshake *all = calloc(list->count + 1, sizeof(*all));
	int error = all ? 0 : -ENOMEM;

	for (size_t i = 0; all && i < list->count; i++) {
		const struct service_info *service = &list->items[i];

		if (service->is_selected && strcmp(service->state, SERVICE_UNSAFE) != 0)
			all[i].path = service->socket;
	}
	if (all)
		handshake_try_all(all, list->count, seconds);
	for (size_t i = 0; all && i < list->count; i++) {
		if (!list->items[i].is_selected)
			continue;
		set_result(&list->items[i], &all[i], seconds);
		if (error == 0)
			error = all[i].error;
	}
	return error;
}

void service_list_free(struct service_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct service_info *service = &list->items[i];
		char *const texts[] = { service->type,    service->socket, service->unit,
					service->enabled, service->server, service->service,
					service->failure, service->closed, service->open };

		for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
			free(texts[t]);
	}
	free(list->items);
	*list = (struct service_list){ 0 };
}
