/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/syscall_filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers that no system call has: whatever it is that they fail with, the filter has said so. */
#define FIRST   900
#define NUMBERS 60
#define RULES   40
#define ROUNDS  200

/* What the kernel says of a number that there is not. */
#define OTHERWISE SECCOMP_RET_ALLOW

static uint32_t seed;

/* The same numbers for the same seed, everywhere: xorshift. */
static uint32_t any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static uint32_t fails_with(int error)
{
	return SECCOMP_RET_ERRNO | (uint32_t)error;
}

/* The same as the filter, in the plainest way. */
static int expected(const struct syscall_filter_rule *rules, size_t count, int number,
		    const unsigned long *arguments)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].number == number &&
		    ((uint32_t)arguments[rules[i].argument] & rules[i].mask) == rules[i].value)
			return (int)(rules[i].action & SECCOMP_RET_DATA);
	return ENOSYS;
}

/* Runs FUNCTION in a process of its own, where a filter may be installed. */
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
		uint32_t mask = any(2) ? any(8) : 0;

		rules[i] = (struct syscall_filter_rule){
			.number = FIRST + (int)any(NUMBERS),
			.action = fails_with(1 + (int)any(3)),
			.argument = any(6),
			.mask = mask,
			.value = any(8) & mask,
		};
	}
}

static void try_a_table(void)
{
	struct syscall_filter_rule rules[RULES], sorted[RULES];

	fill(rules);
	memcpy(sorted, rules, sizeof(rules));
	if (syscall_filter_install(sorted, RULES, OTHERWISE, 0) != 0)
		_exit(2);
	for (int number = FIRST - 2; number < FIRST + NUMBERS + 2; number++) {
		/* What is above 32 bits is not looked at. */
		unsigned long a[6];

		for (int i = 0; i < 6; i++)
			a[i] = any(8) | (any(2) ? 0xf00000000UL : 0);
		if (syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) != -1 ||
		    errno != expected(rules, RULES, number, a))
			_exit(1);
	}
}

static void any_table_decides_as_it_says(void **state)
{
	(void)state;
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		seed = round;
		assert_int_equal(status_of(try_a_table), 0);
	}
}

/* All but one: a sanitizer has calls of its own to make. */
static void allow_all_but_one(void)
{
	static struct syscall_filter_rule rules[FIRST];
	size_t count = 0;

	for (int number = 0; number < FIRST; number++)
		if (number != SYS_getppid)
			rules[count++] =
				(struct syscall_filter_rule){ .number = number,
							      .action = SECCOMP_RET_ALLOW };
	if (syscall_filter_install(rules, count, fails_with(EPERM), 0) != 0)
		_exit(1);
	if (syscall(SYS_getpid) < 0)
		_exit(2);
	if (syscall(SYS_getppid) != -1 || errno != EPERM)
		_exit(3);
	if (syscall(FIRST) != -1 || errno != EPERM)
		_exit(4);
}

static void what_is_not_in_the_table_is_as_it_says(void **state)
{
	(void)state;
	assert_int_equal(status_of(allow_all_but_one), 0);
}

static void refuse_too_many(void)
{
	static struct syscall_filter_rule rules[1000];

	for (size_t i = 0; i < COUNT(rules); i++)
		rules[i] = (struct syscall_filter_rule){ .number = (int)i * 2,
							 .action = SECCOMP_RET_KILL_PROCESS };
	if (syscall_filter_install(rules, COUNT(rules), SECCOMP_RET_ALLOW, 0) != -E2BIG)
		_exit(1);
}

static void a_table_without_room_is_refused_whole(void **state)
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
	long number = 20; /* getpid */

	allow_all();
	__asm__ volatile("int $0x80" : "+a"(number) : : "r8", "r9", "r10", "r11", "memory");
}

static void other_numbers_for_the_same_end_the_process(void **state)
{
	(void)state;
	assert_int_equal(WTERMSIG(status_of(call_by_x32)), SIGSYS);
	assert_int_equal(WTERMSIG(status_of(call_by_32_bits)), SIGSYS);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_table_decides_as_it_says),
		cmocka_unit_test(what_is_not_in_the_table_is_as_it_says),
		cmocka_unit_test(a_table_without_room_is_refused_whole),
#ifdef __x86_64__
		cmocka_unit_test(other_numbers_for_the_same_end_the_process),
#endif
	};

	return cmocka_run_group_tests_name("syscallfilter", tests, NULL, NULL);
}
