// A stack of a thread, as far as it can be taken while the thread is in a call.

#pragma once

#include "goroutine.h"
#include "python.h"

enum {
	MAX_FRAMES = 127, // kernel.perf_event_max_stack, unless it was changed
	MAX_WORDS = 40,
	SCANNED = 128, // words above the stack pointer
	GOROUTINE_FROM = 16, GOROUTINE_WORDS = 48, // of struct g; Go 1.11 to 1.26 have gopc between
};

// struct stack is decoded by stack.go.
struct stack {
	__u64 process; // tgid << 32 | low bits of its start: an address means something in one process only
	__u64 creator; // where the goroutine was started, 0 for none or not known
	__u16 frames;
	__u16 words;
	__u16 calls;
	__u16 cut; // deeper than MAX_FRAMES
	__u64 askers;
	__u64 frame[MAX_FRAMES];
	__u64 word[MAX_WORDS]; // of the scanned ones, those that a call may have pushed
	struct python_call call[MAX_PYTHON];
	__u64 asker[MAX_ASKERS]; // of the goroutine that started this one, where it dials for that
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192); // user space may change it
	__type(key, __u64); // hash of the stack
	__type(value, struct stack);
} stacks SEC(".maps");

struct scratch {
	struct stack stack;
	__u64 scanned[SCANNED];
	__u64 goroutine[GOROUTINE_WORDS];
	__u64 goroutines[GOROUTINES_READ];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {};

struct pt_regs___x86 {
	unsigned long r14, sp;
};

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 sp;
};

#pragma clang attribute pop

// on_arm64 tells which of the two the kernel is.
static __always_inline bool on_arm64(void)
{
	return bpf_core_field_exists(struct pt_regs___arm64, regs);
}

static __always_inline __u64 user_sp(struct pt_regs *regs)
{
	if (on_arm64())
		return ((struct pt_regs___arm64 *)regs)->sp;
	return ((struct pt_regs___x86 *)regs)->sp;
}

// The register that holds the goroutine: Go's internal ABI (cmd/compile/abi-internal).
static __always_inline __u64 user_g(struct pt_regs *regs)
{
	if (on_arm64())
		return ((struct pt_regs___arm64 *)regs)->regs[28];
	return ((struct pt_regs___x86 *)regs)->r14;
}

// follows_call tells whether the code before an address may end in a call. It lets
// through some that end in none; symbol reads the code itself.
static __always_inline bool follows_call(__u64 address)
{
	__u64 code = 0;

	if (on_arm64()) {
		__u32 word = 0;
		if (address & 3 || bpf_probe_read_user(&word, sizeof word, (void *)(address - 4)))
			return false;
		return word >> 26 == 0x25 || (word & 0xfedff000) == 0xd61f0000; // BL; BLR and its kin
	}
	if (bpf_probe_read_user(&code, sizeof code, (void *)(address - 8)))
		return false;
	// E8 with four bytes behind it, or FF /2 with none to five.
	if ((code >> 24 & 0xff) == 0xe8)
		return true;
	code = code >> 8; // the last seven bytes
	return (code >> 40 & 0x38ff) == 0x10ff || (code >> 32 & 0x38ff) == 0x10ff || (code >> 24 & 0x38ff) == 0x10ff ||
	       (code >> 8 & 0x38ff) == 0x10ff || (code & 0x38ff) == 0x10ff;
}

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

// drop_garbage ends the stack where no call can have been: code without frame pointers
// has something else in their register.
static __always_inline void drop_garbage(struct stack *k)
{
	for (__u32 i = 1; i < MAX_FRAMES; i++) {
		if (i >= k->frames)
			return;
		if (k->frame[i] < 4096 || k->frame[i] >> 52 || !follows_call(k->frame[i])) {
			k->frames = i;
			k->cut = 0;
			return;
		}
	}
}

// scan keeps the words above sp that calls may have pushed. A compiler that keeps no
// frame pointers leaves no other trace of who called.
static __always_inline void scan(struct scratch *s, __u64 sp)
{
	__u32 have = SCANNED;

	if (bpf_probe_read_user(s->scanned, sizeof s->scanned, (void *)sp)) {
		// The stack ends before that.
		have = SCANNED / 4;
		if (bpf_probe_read_user(s->scanned, sizeof s->scanned / 4, (void *)sp))
			return;
	}
	for (__u32 i = 0; i < SCANNED; i++) {
		__u64 word = s->scanned[i];
		if (i >= have)
			break;
		if (word < 4096 || word >> 52 || word - sp < sizeof s->scanned)
			continue;
		if (!follows_call(word))
			continue;
		__u32 n = s->stack.words;
		if (n >= MAX_WORDS)
			break;
		s->stack.word[n] = word;
		s->stack.words = n + 1;
	}
}

// goroutine tells whether the thread runs Go code on the stack of a goroutine, and
// where that was started. Where struct g has the fields changes from one release of
// Go to the next; that startpc is the function of the outermost frame does not, nor
// that gopc, ancestors and startpc follow each other.
static __always_inline bool goroutine(struct scratch *s, __u64 g, __u64 sp)
{
	struct { __u64 low, high; } bounds;

	if (bpf_probe_read_user(&bounds, sizeof bounds, (void *)g) || sp < bounds.low || sp >= bounds.high ||
	    bounds.high - bounds.low > 1ULL << 30)
		return false;
	__u32 outermost = s->stack.frames - 2; // the last is runtime.goexit
	if (s->stack.frames < 3 || outermost >= MAX_FRAMES)
		return true;
	__u64 at = s->stack.frame[outermost];
	if (bpf_probe_read_user(s->goroutine, sizeof s->goroutine, (void *)(g + GOROUTINE_FROM * 8)))
		return true;
	for (__u32 i = 2; i < GOROUTINE_WORDS; i++) {
		if (at - s->goroutine[i] < 1 << 16 && !s->goroutine[i - 1] && s->goroutine[i - 2]) {
			s->stack.creator = s->goroutine[i - 2];
			break;
		}
	}
	return true;
}
