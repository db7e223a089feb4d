/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "helper/request_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>

/* The authority of a caller with this command line; IS_ROOT is true if the caller is root. */
struct fixture {
	struct mount_args args;
	struct authority authority;
};

static void set_up(struct fixture *fixture, bool is_root, const char *options)
{
	const char *const argv[] = { "fuservicemount3", "disk.img", "/mnt",
				     "-tfuse.ext4",     "-o",       options };
	const char *wrong;

	assert_int_equal(mount_args_parse(ARRAY_SIZE(argv), argv, &fixture->args, &wrong), 0);
	fixture->authority = (struct authority){ .args = &fixture->args, .is_root = is_root };
}

static void tear_down(struct fixture *fixture)
{
	authority_free(&fixture->authority);
	mount_args_free(&fixture->args);
}

#define _cleanup_fixture_ __attribute__((cleanup(tear_down)))

#define FIXTURE(is_root, options)                                                                  \
	_cleanup_fixture_ struct fixture fixture;                                                  \
	const struct authority *authority = &fixture.authority;                                    \
	const char *reason;                                                                        \
	(void)state;                                                                               \
	set_up(&fixture, is_root, options)

static void test_only_named_files_may_be_opened(void **state)
{
	FIXTURE(true,
		"journal=/dev/sdb,fsname=/etc/shadow,x-key=/etc/gshadow,fsvc.timeout=/etc/motd,quiet,"
		"fsvc.file=/more");

	assert_int_equal(request_policy_check_open(authority, "disk.img", O_RDWR, &reason), 0);
	assert_int_equal(request_policy_check_open(authority, "/dev/sdb", O_RDONLY, &reason), 0);
	assert_int_equal(request_policy_check_open(authority, "/more", O_RDONLY, &reason), 0);
	assert_int_equal(request_policy_check_open(authority, "./disk.img", O_RDONLY, &reason),
			 -EACCES);
	assert_int_equal(request_policy_check_open(authority, "/etc/motd", O_RDONLY, &reason),
			 -EACCES);
	assert_int_equal(request_policy_check_open(authority, "disk.img/", O_RDONLY, &reason),
			 -EACCES);
	assert_int_equal(request_policy_check_open(authority, "/mnt", O_RDONLY, &reason), -EACCES);
	assert_int_equal(request_policy_check_open(authority, "quiet", O_RDONLY, &reason), -EACCES);
	assert_int_equal(request_policy_check_open(authority, "", O_RDONLY, &reason), -EACCES);
	/* The value of an option for the mount table is not a file that was named. */
	assert_int_equal(request_policy_check_open(authority, "/etc/shadow", O_RDONLY, &reason),
			 -EACCES);
	assert_int_equal(request_policy_check_open(authority, "/etc/gshadow", O_RDONLY, &reason),
			 -EACCES);
}

static void test_creating_and_truncating_flags_are_refused(void **state)
{
	static const uint32_t bad[] = { O_CREAT,     O_TRUNC, O_TMPFILE, O_PATH,
					O_DIRECTORY, O_ASYNC, 1U << 31 };

	FIXTURE(true, "rw");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			request_policy_check_open(authority, "disk.img", O_RDWR | bad[i], &reason),
			-EPERM);
	assert_int_equal(
		request_policy_check_open(authority, "disk.img", O_WRONLY | O_RDWR, &reason),
		-EINVAL);
	assert_int_equal(request_policy_check_open(authority, "disk.img",
						   O_RDWR | O_EXCL | O_SYNC | O_DIRECT, &reason),
			 0);
}

static void test_read_only_mount_opens_no_file_for_writing(void **state)
{
	FIXTURE(true, "rw,ro");

	assert_int_equal(request_policy_check_open(authority, "disk.img", O_RDONLY, &reason), 0);
	assert_int_equal(request_policy_check_open(authority, "disk.img", O_RDWR, &reason), -EROFS);
	assert_int_equal(request_policy_check_open(authority, "disk.img", O_WRONLY, &reason),
			 -EROFS);
}

static void test_administrator_may_grant_files(void **state)
{
	FILE *file = open_text("read /etc/key\nwrite /dev/sdc\n");

	FIXTURE(true, "rw");
	assert_int_equal(granted_files_read(&fixture.authority.granted, file, "ext4.conf"), 0);
	fclose(file);
	assert_int_equal(request_policy_check_open(authority, "/etc/key", O_RDONLY, &reason), 0);
	assert_int_equal(request_policy_check_open(authority, "/etc/key", O_RDWR, &reason),
			 -EACCES);
	assert_int_equal(request_policy_check_open(authority, "/dev/sdc", O_RDWR, &reason), 0);
}

static void test_source_must_be_named(void **state)
{
	FIXTURE(true, "fsname=shown");

	assert_int_equal(request_policy_check_source(authority, "disk.img", &reason), 0);
	assert_int_equal(request_policy_check_source(authority, "shown", &reason), 0);
	assert_int_equal(request_policy_check_source(authority, "ext4", &reason), 0);
	assert_int_equal(request_policy_check_source(authority, "/dev/sda1", &reason), -EPERM);
	assert_int_equal(request_policy_check_source(authority, "", &reason), -EPERM);
}

static int kernel_options(const struct authority *authority, const char *options, bool fuseblk,
			  const char *wanted)
{
	_cleanup_free_ char *clean = NULL;
	const char *reason;
	int error =
		request_policy_filter_kernel_options(authority, options, fuseblk, &clean, &reason);

	if (error == 0 && wanted)
		assert_string_equal(clean, wanted);
	else
		assert_null(clean);
	return error;
}

static void test_kernel_options_of_the_helper_are_refused(void **state)
{
	static const char *const private[] = { "fd=3",       "rootmode=40000", "user_id=0",
					       "group_id=0", "context=x",      "rootcontext=x" };

	FIXTURE(true, "rw");
	(void)reason;
	for (size_t i = 0; i < ARRAY_SIZE(private); i++)
		assert_int_equal(kernel_options(authority, private[i], false, NULL), -EPERM);
	assert_int_equal(kernel_options(authority, "subtype=x", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "suid", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "anything", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "max_read=1\\,fd=3", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "max_read=", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "blksize=512", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(authority, "", false, NULL), 0);
	assert_int_equal(kernel_options(authority, "max_read=4096,default_permissions", false,
					"max_read=4096,default_permissions"),
			 0);
	assert_int_equal(kernel_options(authority, "blksize=512", true, "blksize=512"), 0);
}

static void test_security_label_must_come_from_root(void **state)
{
	FIXTURE(true, "context=system_u:object_r:x_t:s0");

	(void)reason;
	assert_int_equal(kernel_options(authority, "context=system_u:object_r:x_t:s0", false,
					"context=system_u:object_r:x_t:s0"),
			 0);
	assert_int_equal(kernel_options(authority, "context=system_u:object_r:y_t:s0", false, NULL),
			 -EPERM);
	fixture.authority.is_root = false;
	assert_int_equal(kernel_options(authority, "context=system_u:object_r:x_t:s0", false, NULL),
			 -EPERM);
}

static void test_allow_other_needs_permission_and_adds_default_permissions(void **state)
{
	FIXTURE(true, "allow_other");

	(void)reason;
	assert_int_equal(
		kernel_options(authority, "allow_other", false, "allow_other,default_permissions"),
		0);
	fixture.authority.is_root = false;
	assert_int_equal(kernel_options(authority, "allow_other", false, NULL), -EPERM);
	fixture.authority.conf.user_allow_other = true;
	assert_int_equal(
		kernel_options(authority, "allow_other", false, "allow_other,default_permissions"),
		0);
}

static void test_allow_other_of_a_user_must_be_on_the_command_line(void **state)
{
	FIXTURE(false, "rw");

	(void)reason;
	fixture.authority.conf.user_allow_other = true;
	assert_int_equal(kernel_options(authority, "allow_other", false, NULL), -EPERM);
}

static void test_table_gets_only_options_of_the_command_line(void **state)
{
	_cleanup_free_ char *kept = NULL;

	FIXTURE(true, "nofail,x-a=1,ro,fsvc.file=/secret");
	assert_int_equal(request_policy_filter_table_options(
				 authority, "x-a=1,x-a=2,user=eve,ro,nofail,-n,fsvc.file=/secret",
				 &kept, &reason),
			 0);
	assert_string_equal(kept, "x-a=1,nofail");
	assert_int_equal(request_policy_filter_table_options(authority, "x-a=1\n", &kept, &reason),
			 -EINVAL);
}

static void test_flags_for_other_mounts_are_refused(void **state)
{
	static const uint32_t bad[] = { MS_REMOUNT,    MS_BIND,      MS_MOVE,     MS_REC,
					MS_UNBINDABLE, MS_PRIVATE,   MS_SLAVE,    MS_SHARED,
					MS_KERNMOUNT,  MS_I_VERSION, MS_MANDLOCK, MS_POSIXACL,
					1U << 30,      1U << 31 };
	unsigned long flags;

	FIXTURE(true, "rw");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			request_policy_choose_mount_flags(authority, bad[i], &flags, &reason),
			-EPERM);
}

static unsigned long mount_flags(const struct authority *authority, uint32_t asked)
{
	unsigned long flags;
	const char *reason;

	assert_int_equal(request_policy_choose_mount_flags(authority, asked, &flags, &reason), 0);
	return flags;
}

static void test_nosuid_and_nodev_are_always_set(void **state)
{
	FIXTURE(true, "rw");

	(void)reason;
	assert_int_equal(mount_flags(authority, 0), MS_NOSUID | MS_NODEV);
	assert_int_equal(mount_flags(authority, MS_RDONLY), MS_NOSUID | MS_NODEV | MS_RDONLY);
}

static void test_only_root_may_use_suid_and_dev(void **state)
{
	FIXTURE(true, "suid");

	(void)reason;
	assert_int_equal(mount_flags(authority, 0), MS_NODEV);
	assert_int_equal(mount_flags(authority, MS_NOSUID), MS_NOSUID | MS_NODEV);
	fixture.authority.is_root = false;
	assert_int_equal(mount_flags(authority, 0), MS_NOSUID | MS_NODEV);
}

static void test_service_cannot_remove_restrictions_of_the_caller(void **state)
{
	FIXTURE(true, "ro,noexec,dev,nosuid");

	(void)reason;
	assert_int_equal(mount_flags(authority, 0), MS_RDONLY | MS_NOEXEC | MS_NOSUID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_named_files_may_be_opened),
		cmocka_unit_test(test_creating_and_truncating_flags_are_refused),
		cmocka_unit_test(test_read_only_mount_opens_no_file_for_writing),
		cmocka_unit_test(test_administrator_may_grant_files),
		cmocka_unit_test(test_source_must_be_named),
		cmocka_unit_test(test_kernel_options_of_the_helper_are_refused),
		cmocka_unit_test(test_security_label_must_come_from_root),
		cmocka_unit_test(test_allow_other_needs_permission_and_adds_default_permissions),
		cmocka_unit_test(test_allow_other_of_a_user_must_be_on_the_command_line),
		cmocka_unit_test(test_table_gets_only_options_of_the_command_line),
		cmocka_unit_test(test_flags_for_other_mounts_are_refused),
		cmocka_unit_test(test_nosuid_and_nodev_are_always_set),
		cmocka_unit_test(test_only_root_may_use_suid_and_dev),
		cmocka_unit_test(test_service_cannot_remove_restrictions_of_the_caller),
	};

	return cmocka_run_group_tests_name("request_policy", tests, NULL, NULL);
}
