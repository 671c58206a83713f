package leaktest

import (
	"runtime"
	"testing"
)

func TestConnBy(t *testing.T) {
	c := Conn{Stack: []runtime.Frame{{Function: "database/sql.(*DB).conn"}, {Function: "example.com/app.Open.func1"}}}
	for name, want := range map[string]bool{
		"database/sql.(*DB).conn":    true,
		"database/sql":               true,
		"example.com/app.Open":       true,
		"example.com/app.Open.func1": true,
		"example.com/app":            true,
		"example.com/ap":             false,
		"example.com/app.Ope":        false,
		"app.Open":                   false,
		"":                           false,
	} {
		if got := c.By(name); got != want {
			t.Errorf("By(%q) = %v, want %v", name, got, want)
		}
	}
	if (Conn{}).By("main") {
		t.Error("a connection of no known stack is by main")
	}
}
