/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "../../compat_calls.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers without a system call: every error number is from the filter. */
#define FIRST   900
#define NUMBERS 60
#define RULES   40
#define ROUNDS  200

/* The kernel fails with ENOSYS for a number without a system call. */
#define DEFAULT_ACTION SECCOMP_RET_ALLOW

static uint32_t seed;

/* A reproducible random number below BELOW (xorshift). */
static uint32_t random_below(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static uint32_t errno_action(int error)
{
	return SECCOMP_RET_ERRNO | (uint32_t)error;
}

/* The reference implementation of the filter. */
static int expected(const struct syscall_filter_rule *rules, size_t count, int number,
		    const unsigned long *arguments)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].number == number &&
		    ((uint32_t)arguments[rules[i].argument] & rules[i].mask) == rules[i].value)
			return (int)(rules[i].action & SECCOMP_RET_DATA);
	return ENOSYS;
}

/* Run FUNCTION in a child process, where a filter may be installed, and return its wait status. */
static int status_of(void (*function)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		function();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void fill(struct syscall_filter_rule *rules)
{
	for (size_t i = 0; i < RULES; i++) {
		uint32_t mask = random_below(2) ? random_below(8) : 0;

		rules[i] = (struct syscall_filter_rule){
			.number = FIRST + (int)random_below(NUMBERS),
			.action = errno_action(1 + (int)random_below(3)),
			.argument = random_below(6),
			.mask = mask,
			.value = random_below(8) & mask,
		};
	}
}

static void check_random_table(void)
{
	struct syscall_filter_rule rules[RULES], sorted[RULES];

	fill(rules);
	memcpy(sorted, rules, sizeof(rules));
	if (syscall_filter_install(sorted, RULES, DEFAULT_ACTION, 0) != 0)
		_exit(2);
	for (int number = FIRST - 2; number < FIRST + NUMBERS + 2; number++) {
		/* The filter examines only the lower 32 bits of an argument. */
		unsigned long a[6];

		for (int i = 0; i < 6; i++)
			a[i] = random_below(8) | (random_below(2) ? 0xf00000000UL : 0);
		if (syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) != -1 ||
		    errno != expected(rules, RULES, number, a))
			_exit(1);
	}
}

static void test_random_tables_give_the_expected_actions(void **state)
{
	(void)state;
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		seed = round;
		assert_int_equal(status_of(check_random_table), 0);
	}
}

/* Allow all calls except one: a sanitizer makes calls of its own. */
static void allow_all_but_one(void)
{
	static struct syscall_filter_rule rules[FIRST];
	size_t count = 0;

	for (int number = 0; number < FIRST; number++)
		if (number != SYS_getppid)
			rules[count++] =
				(struct syscall_filter_rule){ .number = number,
							      .action = SECCOMP_RET_ALLOW };
	if (syscall_filter_install(rules, count, errno_action(EPERM), 0) != 0)
		_exit(1);
	if (syscall(SYS_getpid) < 0)
		_exit(2);
	if (syscall(SYS_getppid) != -1 || errno != EPERM)
		_exit(3);
	if (syscall(FIRST) != -1 || errno != EPERM)
		_exit(4);
}

static void test_default_action_applies_to_other_calls(void **state)
{
	(void)state;
	assert_int_equal(status_of(allow_all_but_one), 0);
}

static void refuse_too_many(void)
{
	static struct syscall_filter_rule rules[1000];

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i] = (struct syscall_filter_rule){ .number = (int)i * 2,
							 .action = SECCOMP_RET_KILL_PROCESS };
	if (syscall_filter_install(rules, ARRAY_SIZE(rules), SECCOMP_RET_ALLOW, 0) != -E2BIG)
		_exit(1);
}

static void test_too_large_table_is_refused(void **state)
{
	(void)state;
	assert_int_equal(status_of(refuse_too_many), 0);
}

#ifdef __x86_64__
static void allow_all(void)
{
	struct syscall_filter_rule none[] = { { .number = FIRST, .action = SECCOMP_RET_ALLOW } };

	if (syscall_filter_install(none, 1, SECCOMP_RET_ALLOW, 0) != 0)
		_exit(1);
}

static void call_by_x32(void)
{
	allow_all();
	syscall(0x40000000 | SYS_getpid);
}

static void call_by_32_bits(void)
{
	allow_all();
	compat_getpid();
}

static void test_x32_call_kills_the_process(void **state)
{
	(void)state;
	assert_int_equal(WTERMSIG(status_of(call_by_x32)), SIGSYS);
}

static void test_32_bit_call_kills_the_process(void **state)
{
	(void)state;
	if (!has_compat_calls()) {
		print_message("skipped: this machine has no 32-bit system calls (int 0x80)\n");
		skip();
	}
	assert_int_equal(WTERMSIG(status_of(call_by_32_bits)), SIGSYS);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_tables_give_the_expected_actions),
		cmocka_unit_test(test_default_action_applies_to_other_calls),
		cmocka_unit_test(test_too_large_table_is_refused),
#ifdef __x86_64__
		cmocka_unit_test(test_x32_call_kills_the_process),
		cmocka_unit_test(test_32_bit_call_kills_the_process),
#endif
	};

	return cmocka_run_group_tests_name("syscall_filter", tests, NULL, NULL);
}
