/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "helper/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>

/* A caller's command line and what follows from it; ROOT says who the caller is. */
struct fixture {
	struct mount_args args;
	struct policy policy;
};

static void setup(struct fixture *fixture, bool root, const char *options)
{
	const char *const argv[] = { "fuservicemount3", "disk.img", "/mnt",
				     "-tfuse.ext4",     "-o",       options };
	const char *wrong;

	assert_int_equal(mount_args_parse(ARRAY_SIZE(argv), argv, &fixture->args, &wrong), 0);
	fixture->policy = (struct policy){ .args = &fixture->args, .root = root };
}

static void teardown(struct fixture *fixture)
{
	policy_free(&fixture->policy);
	mount_args_free(&fixture->args);
}

#define FIXTURE(root, options)                                                                     \
	__attribute__((cleanup(teardown))) struct fixture fixture;                                 \
	const struct policy *policy = &fixture.policy;                                             \
	const char *why;                                                                           \
	(void)state;                                                                               \
	setup(&fixture, root, options)

static void test_only_named_files_may_be_opened(void **state)
{
	FIXTURE(true,
		"journal=/dev/sdb,fsname=/etc/shadow,x-key=/etc/gshadow,fsvc.timeout=/etc/motd,quiet,"
		"fsvc.file=/more");

	assert_int_equal(policy_open(policy, "disk.img", O_RDWR, &why), 0);
	assert_int_equal(policy_open(policy, "/dev/sdb", O_RDONLY, &why), 0);
	assert_int_equal(policy_open(policy, "/more", O_RDONLY, &why), 0);
	assert_int_equal(policy_open(policy, "./disk.img", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "/etc/motd", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "disk.img/", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "/mnt", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "quiet", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "", O_RDONLY, &why), -EACCES);
	/* A name for the table is not a file that was named. */
	assert_int_equal(policy_open(policy, "/etc/shadow", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "/etc/gshadow", O_RDONLY, &why), -EACCES);
}

static void test_creating_and_truncating_flags_are_refused(void **state)
{
	static const uint32_t bad[] = { O_CREAT,     O_TRUNC, O_TMPFILE, O_PATH,
					O_DIRECTORY, O_ASYNC, 1U << 31 };

	FIXTURE(true, "rw");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(policy_open(policy, "disk.img", O_RDWR | bad[i], &why), -EPERM);
	assert_int_equal(policy_open(policy, "disk.img", O_WRONLY | O_RDWR, &why), -EINVAL);
	assert_int_equal(policy_open(policy, "disk.img", O_RDWR | O_EXCL | O_SYNC | O_DIRECT, &why),
			 0);
}

static void test_read_only_mount_opens_no_file_for_writing(void **state)
{
	FIXTURE(true, "rw,ro");

	assert_int_equal(policy_open(policy, "disk.img", O_RDONLY, &why), 0);
	assert_int_equal(policy_open(policy, "disk.img", O_RDWR, &why), -EROFS);
	assert_int_equal(policy_open(policy, "disk.img", O_WRONLY, &why), -EROFS);
}

static void test_administrator_may_grant_files(void **state)
{
	FILE *file = open_text("# keys\nread /etc/key\n  write\t/dev/sdc # journal\nread "
			       "relative\nexec /bin/sh\n");

	FIXTURE(true, "rw");
	assert_int_equal(policy_read_grants(&fixture.policy, file, "ext4.conf"), 0);
	fclose(file);
	assert_int_equal(policy->grant_count, 2);
	assert_int_equal(policy_open(policy, "/etc/key", O_RDONLY, &why), 0);
	assert_int_equal(policy_open(policy, "/etc/key", O_RDWR, &why), -EACCES);
	assert_int_equal(policy_open(policy, "/dev/sdc", O_RDWR, &why), 0);
	assert_int_equal(policy_open(policy, "relative", O_RDONLY, &why), -EACCES);
	assert_int_equal(policy_open(policy, "/bin/sh", O_RDONLY, &why), -EACCES);
}

static void test_source_must_be_named(void **state)
{
	FIXTURE(true, "fsname=shown");

	assert_int_equal(policy_source(policy, "disk.img", &why), 0);
	assert_int_equal(policy_source(policy, "shown", &why), 0);
	assert_int_equal(policy_source(policy, "ext4", &why), 0);
	assert_int_equal(policy_source(policy, "/dev/sda1", &why), -EPERM);
	assert_int_equal(policy_source(policy, "", &why), -EPERM);
}

static int kernel_options(const struct policy *policy, const char *options, bool fuseblk,
			  const char *wanted)
{
	_cleanup_free_ char *clean = NULL;
	const char *why;
	int error = policy_kernel_options(policy, options, fuseblk, &clean, &why);

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
	(void)why;
	for (size_t i = 0; i < ARRAY_SIZE(private); i++)
		assert_int_equal(kernel_options(policy, private[i], false, NULL), -EPERM);
	assert_int_equal(kernel_options(policy, "subtype=x", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "suid", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "anything", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "max_read=1\\,fd=3", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "max_read=", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "blksize=512", false, NULL), -EINVAL);
	assert_int_equal(kernel_options(policy, "", false, NULL), 0);
	assert_int_equal(kernel_options(policy, "max_read=4096,default_permissions", false,
					"max_read=4096,default_permissions"),
			 0);
	assert_int_equal(kernel_options(policy, "blksize=512", true, "blksize=512"), 0);
}

static void test_security_label_must_come_from_root(void **state)
{
	FIXTURE(true, "context=system_u:object_r:x_t:s0");

	(void)why;
	assert_int_equal(kernel_options(policy, "context=system_u:object_r:x_t:s0", false,
					"context=system_u:object_r:x_t:s0"),
			 0);
	assert_int_equal(kernel_options(policy, "context=system_u:object_r:y_t:s0", false, NULL),
			 -EPERM);
	fixture.policy.root = false;
	assert_int_equal(kernel_options(policy, "context=system_u:object_r:x_t:s0", false, NULL),
			 -EPERM);
}

static void test_allow_other_needs_permission_and_adds_default_permissions(void **state)
{
	FIXTURE(true, "allow_other");

	(void)why;
	assert_int_equal(
		kernel_options(policy, "allow_other", false, "allow_other,default_permissions"), 0);
	fixture.policy.root = false;
	assert_int_equal(kernel_options(policy, "allow_other", false, NULL), -EPERM);
	fixture.policy.conf.user_allow_other = true;
	assert_int_equal(
		kernel_options(policy, "allow_other", false, "allow_other,default_permissions"), 0);
}

static void test_allow_other_of_a_user_must_be_on_the_command_line(void **state)
{
	FIXTURE(false, "rw");

	(void)why;
	fixture.policy.conf.user_allow_other = true;
	assert_int_equal(kernel_options(policy, "allow_other", false, NULL), -EPERM);
}

static void test_table_gets_only_options_of_the_command_line(void **state)
{
	_cleanup_free_ char *kept = NULL;

	FIXTURE(true, "nofail,x-a=1,ro,fsvc.file=/secret");
	assert_int_equal(policy_table_options(policy,
					      "x-a=1,x-a=2,user=eve,ro,nofail,-n,fsvc.file=/secret",
					      &kept, &why),
			 0);
	assert_string_equal(kept, "x-a=1,nofail");
	assert_int_equal(policy_table_options(policy, "x-a=1\n", &kept, &why), -EINVAL);
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
		assert_int_equal(policy_mount_flags(policy, bad[i], &flags, &why), -EPERM);
}

static unsigned long mount_flags(const struct policy *policy, uint32_t asked)
{
	unsigned long flags;
	const char *why;

	assert_int_equal(policy_mount_flags(policy, asked, &flags, &why), 0);
	return flags;
}

static void test_nosuid_and_nodev_are_always_set(void **state)
{
	FIXTURE(true, "rw");

	(void)why;
	assert_int_equal(mount_flags(policy, 0), MS_NOSUID | MS_NODEV);
	assert_int_equal(mount_flags(policy, MS_RDONLY), MS_NOSUID | MS_NODEV | MS_RDONLY);
}

static void test_only_root_may_use_suid_and_dev(void **state)
{
	FIXTURE(true, "suid");

	(void)why;
	assert_int_equal(mount_flags(policy, 0), MS_NODEV);
	assert_int_equal(mount_flags(policy, MS_NOSUID), MS_NOSUID | MS_NODEV);
	fixture.policy.root = false;
	assert_int_equal(mount_flags(policy, 0), MS_NOSUID | MS_NODEV);
}

static void test_service_cannot_remove_restrictions_of_the_caller(void **state)
{
	FIXTURE(true, "ro,noexec,dev,nosuid");

	(void)why;
	assert_int_equal(mount_flags(policy, 0), MS_RDONLY | MS_NOEXEC | MS_NOSUID);
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

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
