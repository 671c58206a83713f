package symbol

import (
	"strings"
	"testing"
)

func TestDemangled(t *testing.T) {
	long := "_Z" + strings.Repeat("9", 1<<20)
	for name, want := range map[string]string{
		"":                                "",
		"main":                            "main",
		"_start":                          "_start",
		"_ZN3net4PoolIiE3getEi":           "net::Pool<int>::get",
		"_RNvCs4fqI2P2rA04_7callers4main": "callers::main",
		"evil\x1b[2Jname\n":               "evil?[2Jname?",
		"cut\xff":                         "cut?",
		"naïve二":                          "naïve二",
		long:                              long[:maxName] + "...",
		strings.Repeat("é", 1<<10):        strings.Repeat("é", maxName/2) + "...",
	} {
		if got := demangled(name); got != want {
			t.Errorf("%.80q: got %q, want %q", name, got, want)
		}
	}
}
