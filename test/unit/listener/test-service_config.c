/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "listener/service_config.h"
#include "sandbox/sandbox.h"

#include <errno.h>

/* Read TEXT as a configuration file. */
static int read_text(const char *text, struct service_configs *configs)
{
	FILE *file = open_text(text);
	int error = service_configs_read(configs, file, "FILE");

	fclose(file);
	return error;
}

static void line_without_options_has_the_defaults(void **state)
{
	struct service_configs configs = { 0 };

	(void)state;
	assert_int_equal(read_text("ext4 -- fuse2fs -f", &configs), 0);
	assert_int_equal(configs.count, 1);
	assert_string_equal(configs.list[0].type, "ext4");
	assert_int_equal(configs.list[0].server.count, 2);
	assert_string_equal(configs.list[0].server.argv[0], "fuse2fs");
	assert_string_equal(configs.list[0].server.argv[1], "-f");
	assert_null(configs.list[0].broker_options.argv);
	assert_null(configs.list[0].extra_paths.argv);
	assert_false(configs.list[0].is_service || configs.list[0].is_root_filesystem);
	assert_int_equal(configs.list[0].limits.memory, 1 << 30);
	assert_int_equal(configs.list[0].limits.processes, 256);
	assert_int_equal(configs.list[0].max_mounts, 4096);
	assert_int_equal(configs.list[0].max_mounts_per_user, 1024);
	assert_int_equal(configs.list[0].optional_layers, 0);
	service_configs_free(&configs);
}

static void each_option_sets_its_member(void **state)
{
	struct service_configs configs = { 0 };
	const struct service_config *config;

	(void)state;
	assert_int_equal(read_text("--service --as-itself --mounts=7 a --mounts-of-user=3\t"
				   "--memory=3G --processes=9 --show=/a --show=/b/c "
				   "--read-only --options=-X --package=p -- /opt/server",
				   &configs),
			 0);
	config = &configs.list[0];
	assert_true(config->is_service && config->keep_ids);
	assert_int_equal(config->max_mounts, 7);
	assert_int_equal(config->max_mounts_per_user, 3);
	assert_true(config->limits.memory == 3ULL << 30);
	assert_int_equal(config->limits.processes, 9);
	/* The program of the server is shown, too. */
	assert_int_equal(config->extra_paths.count, 3);
	assert_string_equal(config->extra_paths.argv[1], "/b/c");
	assert_string_equal(config->extra_paths.argv[2], "/opt/server");
	assert_int_equal(config->broker_options.count, 3);
	assert_string_equal(config->broker_options.argv[1], "--options=-X");
	service_configs_free(&configs);
}

static void options_after_the_dashes_belong_to_the_server(void **state)
{
	struct service_configs configs = { 0 };

	(void)state;
	assert_int_equal(read_text("a -- b --read-only -- --memory=0", &configs), 0);
	assert_int_equal(configs.list[0].server.count, 4);
	assert_null(configs.list[0].broker_options.argv);
	service_configs_free(&configs);
}

static void file_has_several_lines_and_comments(void **state)
{
	struct service_configs configs = { 0 };

	(void)state;
	assert_int_equal(read_text("# none\n\n \t\na -- b # c\n\td -- e#f\n", &configs), 0);
	assert_int_equal(configs.count, 2);
	assert_int_equal(configs.list[0].server.count, 1);
	assert_string_equal(configs.list[1].server.argv[0], "e#f");
	service_configs_free(&configs);
}

static void each_layer_is_one_bit(void **state)
{
	struct service_configs configs = { 0 };
	char line[256];

	(void)state;
	for (size_t i = 0; i < sandbox_layer_count; i++) {
		snprintf(line, sizeof(line), "--allow-missing=%s a -- b", sandbox_layers[i].name);
		assert_int_equal(read_text(line, &configs), 0);
		assert_int_equal(configs.list[i].optional_layers, 1U << i);
	}
	snprintf(line, sizeof(line), "--allow-missing=%s,%s a -- b", sandbox_layers[0].name,
		 sandbox_layers[2].name);
	assert_int_equal(read_text(line, &configs), 0);
	assert_int_equal(configs.list[sandbox_layer_count].optional_layers, 5);
	service_configs_free(&configs);
}

static void invalid_lines_are_refused_and_add_nothing(void **state)
{
	static const char *const lines[] = {
		"a",
		"a --",
		"-- b",
		"a c -- b",
		"--unknown a -- b",
		"--read-only=yes a -- b",
		"--memory= a -- b",
		"--memory=0 a -- b",
		"--memory=1.5G a -- b",
		"--memory=1GB a -- b",
		"--memory=99999999999999999999 a -- b",
		"--mounts=0 a -- b",
		"--mounts=-1 a -- b",
		"--processes=1x a -- b",
		"--show=a a -- b",
		"--show=/ a -- b",
		"--show=/a/../b a -- b",
		"--show=/a/.. a -- b",
		"--allow-missing=root,nothing a -- b",
		"--allow-missing=roo a -- b",
		"a/b -- c",
		".. -- c",
	};
	struct service_configs configs = { 0 };

	(void)state;
	assert_int_equal(read_text("a -- b", &configs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(read_text(lines[i], &configs), -EINVAL);
		assert_int_equal(configs.count, 1);
	}
	service_configs_free(&configs);
}

/* The text after the null character would be lost without a message. */
static void line_with_null_character_is_refused(void **state)
{
	static char bytes[] = "a -- b\0 --service\n";
	FILE *file = fmemopen(bytes, sizeof(bytes) - 1, "r");
	struct service_configs configs = { 0 };

	(void)state;
	assert_int_equal(service_configs_read(&configs, file, "FILE"), -EINVAL);
	assert_int_equal(configs.count, 0);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_without_options_has_the_defaults),
		cmocka_unit_test(each_option_sets_its_member),
		cmocka_unit_test(options_after_the_dashes_belong_to_the_server),
		cmocka_unit_test(file_has_several_lines_and_comments),
		cmocka_unit_test(each_layer_is_one_bit),
		cmocka_unit_test(line_with_null_character_is_refused),
		cmocka_unit_test(invalid_lines_are_refused_and_add_nothing),
	};

	return cmocka_run_group_tests_name("service_config", tests, NULL, NULL);
}
