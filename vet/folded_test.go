package vet_test

import (
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{vet.AtLeast(0, 27352), "27,352"},
		{vet.AtLeast(3, 27352), "at least 27,352"},
		{vet.AtLeastCounted(0, 1, "socket"), "1 socket"},
		{vet.AtLeastCounted(1, 12, "socket"), "at least 12 sockets"},
		{vet.Bound(0, "at most "), ""},
		{vet.Bound(1, "at most "), "at most "},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if got := vet.MayLack(0, "ports"); len(got) != 0 {
		t.Errorf("nothing folded: %v", got)
	}
	if got, want := vet.MayLack(7, "ports"), []tcpvet.Number{{Name: "may_lack_ports", Value: 7}}; !slices.Equal(got, want) {
		t.Errorf("folded: %v, want %v", got, want)
	}
}

func TestCut(t *testing.T) {
	for n, want := range map[int][2]int{0: {0, 0}, 3: {3, 0}, 4: {4, 0}, 5: {3, 2}, 9: {3, 6}} {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		named, rest := vet.Cut(all, 3)
		if len(named) != want[0] || len(rest) != want[1] || !slices.Equal(slices.Concat(named, rest), all) {
			t.Errorf("%d of 3: %v and %v, want %v", n, named, rest, want)
		}
	}
}
