/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/systemd.h"

#include "base/path.h"
#include "config.h"

#include <errno.h>

#if HAVE_LIBSYSTEMD

#include "base/cleanup.h"
#include "base/sharedlib.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define LIBSYSTEMD_FUNCTIONS(FUNCTION)                                                             \
	FUNCTION(sd_bus_new)                                                                       \
	FUNCTION(sd_bus_set_address)                                                               \
	FUNCTION(sd_bus_start)                                                                     \
	FUNCTION(sd_bus_open_system)                                                               \
	FUNCTION(sd_bus_set_method_call_timeout)                                                   \
	FUNCTION(sd_bus_call_method)                                                               \
	FUNCTION(sd_bus_path_encode)                                                               \
	FUNCTION(sd_bus_flush_close_unref)                                                         \
	FUNCTION(sd_bus_message_enter_container)                                                   \
	FUNCTION(sd_bus_message_exit_container)                                                    \
	FUNCTION(sd_bus_message_peek_type)                                                         \
	FUNCTION(sd_bus_message_read_basic)                                                        \
	FUNCTION(sd_bus_message_unref)

struct systemd {
	void *library;
	LIBSYSTEMD_FUNCTIONS(SHAREDLIB_MEMBER)
	sd_bus *bus;
};

/* The socket of systemd for root, which works without a D-Bus daemon. */
#define PRIVATE_ADDRESS "unix:path=/run/systemd/private"

#define NAME      "org.freedesktop.systemd1"
#define MANAGER   "/org/freedesktop/systemd1"
#define UNIT_PATH MANAGER "/unit"

/* Some instance of a template; it need not exist. */
#define INSTANCE "probe"

#define CALL_TIMEOUT_US 10000000

/* The number of values in an entry of ListUnitFilesByPatterns (path, state) and of
 * ListUnitsByPatterns (name and nine more). */
#define FILE_VALUES 2
#define UNIT_VALUES 10

static int load(struct systemd *lib)
{
	int error = sharedlib_load(&lib->library, "libsystemd.so.0");

	if (error < 0)
		return error;
	LIBSYSTEMD_FUNCTIONS(SHAREDLIB_LOOK_UP)
	return 0;
}

static int connect_privately(struct systemd *lib)
{
	int error = lib->sd_bus_new(&lib->bus);

	if (error >= 0)
		error = lib->sd_bus_set_address(lib->bus, PRIVATE_ADDRESS);
	if (error >= 0)
		error = lib->sd_bus_start(lib->bus);
	if (error < 0)
		lib->bus = lib->sd_bus_flush_close_unref(lib->bus);
	return error;
}

int systemd_open(struct systemd **systemdp)
{
	_cleanup_systemd_ struct systemd *lib = NULL;
	int error;

	*systemdp = NULL;
	if (access(SYSTEMD_DIR, F_OK) < 0)
		return -ENOSYS;
	lib = calloc(1, sizeof(*lib));
	if (!lib)
		return -ENOMEM;
	error = load(lib);
	if (error < 0)
		return error;
	if (geteuid() != 0 || connect_privately(lib) < 0)
		error = lib->sd_bus_open_system(&lib->bus);
	if (error >= 0)
		error = lib->sd_bus_set_method_call_timeout(lib->bus, CALL_TIMEOUT_US);
	if (error < 0)
		return error;
	*systemdp = take_pointer(lib);
	return 0;
}

void systemd_close(struct systemd *systemd)
{
	if (systemd && systemd->bus)
		systemd->sd_bus_flush_close_unref(systemd->bus);
	free(systemd);
}

static int read_value(struct systemd *lib, sd_bus_message *message, char type, struct strv *values)
{
	union {
		uint8_t byte;
		int boolean;
		int16_t signed16;
		uint16_t unsigned16;
		int32_t signed32;
		uint32_t unsigned32;
		int64_t signed64;
		uint64_t unsigned64;
		double real;
		const char *string;
	} value = { .unsigned64 = 0 };
	char number[32];
	int error = lib->sd_bus_message_read_basic(message, type, &value);

	if (error < 0)
		return error;
	if (type == 'b')
		strv_add(values, value.boolean ? "yes" : "no");
	if (strchr("sog", type))
		strv_add(values, value.string);
	if (strchr("yqut", type)) {
		snprintf(number, sizeof(number), "%" PRIu64,
			 type == 'y'   ? value.byte
			 : type == 'q' ? value.unsigned16
			 : type == 'u' ? value.unsigned32
				       : value.unsigned64);
		strv_add(values, number);
	}
	if (strchr("nix", type)) {
		snprintf(number, sizeof(number), "%" PRId64,
			 type == 'n'   ? value.signed16
			 : type == 'i' ? value.signed32
				       : value.signed64);
		strv_add(values, number);
	}
	return values->failed ? -ENOMEM : 0;
}

/* Add all values of MESSAGE, in all its containers. */
static int read_values(struct systemd *lib, sd_bus_message *message, struct strv *values)
{
	const char *contents;
	int result, error = 0, depth = 0;
	char type;

	while (error >= 0) {
		result = lib->sd_bus_message_peek_type(message, &type, &contents);
		if (result < 0 || (result == 0 && depth == 0))
			return result;
		if (result == 0) {
			error = lib->sd_bus_message_exit_container(message);
			depth--;
		} else if (strchr("arev", type)) {
			error = lib->sd_bus_message_enter_container(message, type, contents);
			depth++;
		} else {
			error = read_value(lib, message, type, values);
		}
	}
	return error;
}

/* Add the names of the units that METHOD lists, with STRIDE values for each unit. */
static int list_units(struct systemd *lib, const char *method, const char *pattern, size_t stride,
		      struct strv *units)
{
	_cleanup_strv_ struct strv values = { 0 };
	sd_bus_message *reply = NULL;
	int error = lib->sd_bus_call_method(lib->bus, NAME, MANAGER, NAME ".Manager", method, NULL,
					    &reply, "asas", 0, 1, pattern);

	if (error >= 0)
		error = read_values(lib, reply, &values);
	lib->sd_bus_message_unref(reply);
	for (size_t i = 0; error >= 0 && i + stride <= values.count; i += stride) {
		const char *name = path_basename(values.argv[i]);
		bool is_alias = stride == FILE_VALUES && strcmp(values.argv[i + 1], "alias") == 0;

		if (!is_alias && !strstr(name, "@.") && !strv_contains(units, name))
			strv_add(units, name);
	}
	return error < 0 ? error : units->failed ? -ENOMEM : 0;
}

int systemd_list_sockets(struct systemd *systemd, const char *pattern, struct strv *units)
{
	int error = list_units(systemd, "ListUnitFilesByPatterns", pattern, FILE_VALUES, units);

	return error < 0
		       ? error
		       : list_units(systemd, "ListUnitsByPatterns", "*.socket", UNIT_VALUES, units);
}

/* Encode the object path of UNIT, or of an instance if it is a template. */
static int encode_path(struct systemd *lib, const char *unit, char **pathp)
{
	_cleanup_free_ char *instance = NULL;
	const char *suffix = strstr(unit, "@.");

	if (suffix && asprintf(&instance, "%.*s@" INSTANCE "%s", (int)(suffix - unit), unit,
			       suffix + 1) < 0) {
		instance = NULL;
		return -ENOMEM;
	}
	return lib->sd_bus_path_encode(UNIT_PATH, instance ? instance : unit, pathp);
}

int systemd_get_property(struct systemd *systemd, const char *unit, const char *interface,
			 const char *property, struct strv *values)
{
	_cleanup_free_ char *path = NULL;
	sd_bus_message *reply = NULL;
	char full_interface[64];
	int error = encode_path(systemd, unit, &path);

	snprintf(full_interface, sizeof(full_interface), NAME ".%s", interface);
	if (error >= 0)
		error = systemd->sd_bus_call_method(systemd->bus, NAME, path,
						    "org.freedesktop.DBus.Properties", "Get", NULL,
						    &reply, "ss", full_interface, property);
	if (error >= 0)
		error = read_values(systemd, reply, values);
	systemd->sd_bus_message_unref(reply);
	return error == -EBADR ? -ENOENT : error; /* EBADR: unknown interface or property */
}

#else

int systemd_open(struct systemd **systemdp)
{
	*systemdp = NULL;
	return -ENOSYS;
}

void systemd_close(struct systemd *systemd)
{
	(void)systemd;
}

int systemd_list_sockets(struct systemd *systemd, const char *pattern, struct strv *units)
{
	(void)systemd, (void)pattern, (void)units;
	return -ENOSYS;
}

int systemd_get_property(struct systemd *systemd, const char *unit, const char *interface,
			 const char *property, struct strv *values)
{
	(void)systemd, (void)unit, (void)interface, (void)property, (void)values;
	return -ENOSYS;
}

#endif
