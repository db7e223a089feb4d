/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/syscall_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define NATIVE_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define NATIVE_ARCH AUDIT_ARCH_S390X
#elif defined(__loongarch64)
#define NATIVE_ARCH AUDIT_ARCH_LOONGARCH64
#else
#error "unknown architecture: add its AUDIT_ARCH_* of linux/audit.h"
#endif

#ifdef __x86_64__
/* This bit marks the system calls of the x32 ABI, which have the same AUDIT_ARCH. */
#define X32_BIT 0x40000000
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOWER_HALF 0
#else
#define LOWER_HALF 4
#endif

/* The maximum length of the program, and of a jump in a BPF program. */
#define MAX_STEPS 1024
#define MAX_JUMP  255

struct program {
	struct sock_filter steps[MAX_STEPS];
	unsigned short count;
	bool failed; /* a step did not fit */
};

static void add_step(struct program *program, unsigned short code, uint32_t operand, size_t if_true,
		     size_t if_false)
{
	if (program->count >= MAX_STEPS || if_true > MAX_JUMP || if_false > MAX_JUMP) {
		program->failed = true;
		return;
	}
	program->steps[program->count++] = (struct sock_filter){ code, (unsigned char)if_true,
								 (unsigned char)if_false, operand };
}

static void add_load(struct program *program, size_t offset)
{
	add_step(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_return(struct program *program, uint32_t action)
{
	add_step(program, BPF_RET | BPF_K, action, 0, 0);
}

/* Skip the next COUNT steps unless the call number is below LIMIT. */
static void skip_unless_below(struct program *program, int limit, size_t count)
{
	add_step(program, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)limit, count, 0);
}

static void check_architecture(struct program *program)
{
	add_load(program, offsetof(struct seccomp_data, arch));
	add_step(program, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	add_return(program, SECCOMP_RET_KILL_PROCESS);
	add_load(program, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
	add_step(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	add_return(program, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* The number of steps that add_test() adds. */
#define TEST_STEPS 4

/*
 * Add steps that return the action of RULE if the argument matches and otherwise continue after
 * them.
 */
static void add_test(struct program *program, const struct syscall_filter_rule *rule)
{
	add_load(program, offsetof(struct seccomp_data, args) + rule->argument * sizeof(uint64_t) +
				  LOWER_HALF);
	add_step(program, BPF_ALU | BPF_AND | BPF_K, rule->mask, 0, 0);
	add_step(program, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
	add_return(program, rule->action);
}

/* Test the COUNT rules of one call. */
static void add_tests(struct program *program, const struct syscall_filter_rule *rules,
		      size_t count, uint32_t default_action)
{
	skip_unless_below(program, rules->number + 1, count * TEST_STEPS + 1);
	for (size_t i = 0; i < count; i++)
		add_test(program, &rules[i]);
	add_return(program, default_action);
}

/* Count the rules for the same call at the beginning of RULES. */
static size_t count_rules_of_call(const struct syscall_filter_rule *rules, size_t count)
{
	size_t same = 1;

	while (same < count && rules[same].number == rules->number)
		same++;
	return same;
}

/* The number of steps for the range of call numbers up to LAST. */
#define RANGE_STEPS 2

static void add_range(struct program *program, int last, uint32_t action)
{
	skip_unless_below(program, last + 1, 1);
	add_return(program, action);
}

/*
 * Add the rules in the order of their numbers, range by range. All numbers below the current one
 * are already decided, so each call takes few steps and no jump is long.
 */
static void add_rules(struct program *program, const struct syscall_filter_rule *rules,
		      size_t count, uint32_t default_action)
{
	const struct syscall_filter_rule *range = NULL; /* the range of the last step, or NULL */
	int next = 0;

	for (size_t i = 0, same_call; i < count; i += same_call) {
		const struct syscall_filter_rule *rule = &rules[i];

		same_call = count_rules_of_call(rule, count - i);
		if (rule->number > next) {
			add_range(program, rule->number - 1, default_action);
			range = NULL;
		}
		if (rule->mask) {
			add_tests(program, rule, same_call, default_action);
			range = NULL;
		} else {
			/* Extend the previous range if the action is the same. */
			if (range && range->action == rule->action)
				program->count -= RANGE_STEPS;
			add_range(program, rule->number, rule->action);
			range = rule;
		}
		next = rule->number + 1;
	}
	add_return(program, default_action);
}

/* Sort by number; rules of one call keep their order. */
static void sort_rules(struct syscall_filter_rule *rules, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct syscall_filter_rule rule = rules[i];
		size_t at = i;

		for (; at > 0 && rules[at - 1].number > rule.number; at--)
			rules[at] = rules[at - 1];
		rules[at] = rule;
	}
}

int syscall_filter_install(struct syscall_filter_rule *rules, size_t count, uint32_t default_action,
			   unsigned int flags)
{
	struct program program = { .count = 0 };
	struct sock_fprog made = { .filter = program.steps };
	long result;

	sort_rules(rules, count);
	check_architecture(&program);
	add_rules(&program, rules, count, default_action);
	if (program.failed)
		return -E2BIG;
	made.len = program.count;
	result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &made);
	/* EINVAL: the kernel does not know a flag. */
	if (result < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	return (int)result;
}
