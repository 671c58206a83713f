package vet_test

import (
	"maps"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// A counter that one look lacks did not rise, and neither did one that fell.
func TestRisen(t *testing.T) {
	look := func(counters map[tcpvet.NetnsID]map[string]uint64) tcpvet.Census {
		c := tcpvet.Census{Netns: map[tcpvet.NetnsID]tcpvet.Netns{}}
		for id, n := range counters {
			c.Netns[id] = tcpvet.Netns{ID: id, Counters: n}
		}
		return c
	}
	before := look(map[tcpvet.NetnsID]map[string]uint64{1: {"a": 5}, 2: {"a": 5}, 3: {"a": 5}, 4: {}, 6: {"a": 1}})
	c := tcpvet.Case{Before: &before, Now: look(map[tcpvet.NetnsID]map[string]uint64{
		1: {"a": 8}, 2: {"a": 5}, 3: {"a": 4}, 4: {"a": 9}, 5: {"a": 9}, 6: {"b": 2},
	})}
	if got, want := vet.Risen(&c, "a"), (map[tcpvet.NetnsID]vet.Rise{1: {Now: 8, More: 3}}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	c.Before = nil
	if got := vet.Risen(&c, "a"); len(got) > 0 {
		t.Errorf("one look: %v", got)
	}
}
