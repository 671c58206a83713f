package netns

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestSelect(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	found := []Found{
		{ID: 100, Names: []string{"api", "api-old"}},
		{ID: 200, Names: []string{"db"}},
		{ID: 300},
		{ID: 400, Names: []string{"300"}},
		{ID: self},
	}
	for _, test := range []struct {
		names []string
		want  []tcpvet.NetnsID
	}{
		{nil, nil},
		{[]string{"db", "api"}, []tcpvet.NetnsID{100, 200}}, // in the order of what was found
		{[]string{"api", "api-old", "100", "net:[100]"}, []tcpvet.NetnsID{100}},
		{[]string{"net:[300]"}, []tcpvet.NetnsID{300}},
		{[]string{"300"}, []tcpvet.NetnsID{400}}, // a name goes before a number
		{[]string{fmt.Sprintf("pid:%d", os.Getpid())}, []tcpvet.NetnsID{self}},
	} {
		got, err := Select(found, test.names)
		if err != nil {
			t.Errorf("%q: %v", test.names, err)
			continue
		}
		var ids []tcpvet.NetnsID
		for _, f := range got {
			ids = append(ids, f.ID)
		}
		if !slices.Equal(ids, test.want) {
			t.Errorf("%q: %v, want %v", test.names, ids, test.want)
		}
	}
	for name, want := range map[string]string{
		"apo":         "near it: api",
		"ap":          "near it: api, api-old",
		"postgres":    "there are api, api-old, db, 300, 300, ",
		"500":         "there is none of that name or inode",
		"net:[100":    "there is none of that name or inode",
		"":            "there is none of that name or inode",
		"pid:x":       "expected pid: and the number of a process",
		"pid:0":       "expected pid: and the number of a process",
		"pid:4294967": "vanished", // above any pid_max
	} {
		got, err := Select(found, []string{"db", name})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("%q: %v, %v; want an error with %q", name, got, err, want)
		}
	}
	if _, err := Select(found, []string{"pid:4294967"}); !errors.Is(err, ErrGone) {
		t.Errorf("a process that is not: %v", err)
	}
	if _, err := Select(found[:4], []string{fmt.Sprintf("pid:%d", os.Getpid())}); !errors.Is(err, ErrGone) {
		t.Errorf("a process in a namespace that was not found: %v", err)
	}
	if _, err := Select(nil, []string{"x"}); err == nil || !strings.Contains(err.Error(), "no namespace was found") {
		t.Errorf("nothing found: %v", err)
	}
}

func TestParseID(t *testing.T) {
	for text, want := range map[string]tcpvet.NetnsID{
		"4026532177": 4026532177, "net:[4026532177]": 4026532177, "18446744073709551615": 1<<64 - 1,
		"": 0, "0": 0, "+5": 0, "-5": 0, "net:[]": 0, "net:[5": 0, "net:5": 0, "mnt:[5]": 0, "18446744073709551616": 0, "0x5": 0,
	} {
		if got, ok := ParseID(text); got != want && ok || ok != (want != 0) {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"web", "web", 0},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
