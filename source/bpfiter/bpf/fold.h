// Sockets folded into groups and tuples, as fold.Folder does it in user space.

#pragma once

#include "role.h"
#include "budget.h"
#include "tally.h"

// count_elsewhere counts the record of a namespace that user space has not told of.
static __always_inline void count_elsewhere(void)
{
	__u64 *n = bpf_map_lookup_elem(&elsewhere, &rec.netns), one = 1;
	if (n)
		++*n;
	else
		bpf_map_update_elem(&elsewhere, &rec.netns, &one, BPF_ANY);
}

// fold counts the record. false where a table has no room: then nothing is counted.
__apart int fold(struct space *sp)
{
	struct record *r = &rec;
	struct budget *b = NULL;
	struct detail *d = NULL;

	if (!sp)
		return 0;
	set_role(sp);
	group.start = r->start;
	group.tgid = r->tgid;
	group.netns = r->netns;
	group.role = r->role;
	__builtin_memcpy(group.local, r->local, sizeof group.local);
	if (r->role == ROLE_CLIENT) {
		__builtin_memcpy(group.service, r->remote, sizeof group.service);
		group.port = r->rport;
	} else {
		__builtin_memcpy(group.service, r->local, sizeof group.service);
		group.port = r->lport;
	}
	struct tally *t = bpf_map_lookup_elem(&groups, &group);
	if (!t) {
		if (bpf_map_update_elem(&groups, &group, &new_tally, BPF_NOEXIST))
			return 0;
		t = bpf_map_lookup_elem(&groups, &group);
		if (!t)
			return 0;
	}
	if (needs_detail(r)) {
		if (!t->id) {
			__u32 id = last_id + 1;
			if (bpf_map_update_elem(&details, &id, &new_detail, BPF_ANY))
				return 0;
			t->id = last_id = id;
		}
		d = bpf_map_lookup_elem(&details, &t->id);
		if (!d)
			return 0;
	}
	if (r->role == ROLE_CLIENT && sp->has_ports && r->lport >= sp->low && r->lport <= sp->high) {
		tuple.netns = r->netns;
		__builtin_memcpy(tuple.local, r->local, sizeof tuple.local);
		__builtin_memcpy(tuple.remote, r->remote, sizeof tuple.remote);
		tuple.port = r->rport;
		b = bpf_map_lookup_elem(&tuples, &tuple);
		if (!b) {
			if (bpf_map_update_elem(&tuples, &tuple, &new_budget, BPF_NOEXIST))
				return 0;
			b = bpf_map_lookup_elem(&tuples, &tuple);
			if (!b)
				return 0;
		}
		add_budget(b, sp);
	}
	add_tally(t, d, r);
	pass.folded++;
	return 1;
}
