package tcpvet_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// room is what one folder may do. Imports between folders are written as the
// folder's path, "." for the root package.
type room struct {
	may   string // folders that its code may import
	mod   string // modules of others that its code may import
	tests string // folders that only its tests may import
	std   string // where pure is set, what it may import of the packages that reach outside
	pure  bool   // values in, values out: reaches nothing outside of the process and reads no clock
	json  bool   // unexported types may carry json tags, to read what others wrote
	lean  bool   // programs of others link it, and with it the standard library, x/sys and x/time alone
}

// house is an allow-list: a folder without a line fails, and so does an import
// that its line does not name. A line for a folder that is not there yet states
// where it will stand. "rules/*" stands for each folder below rules.
//
// It says which way data flows: source -> rules -> report. A rule that reads
// the machine, a source that knows a rule and a report that judges have no line
// to stand on.
var house = map[string]room{
	".": {pure: true},

	"source":            {may: ". owner source/bpfiter source/sockdiag source/procfs source/dump source/fold netns store internal/kernel", tests: "lab rules vet"},
	"source/bpfiter":    {may: ". internal/kernel", mod: sys + "github.com/cilium/ebpf", tests: "source source/sockdiag source/procfs source/fold netns"},
	"source/sockdiag":   {may: ".", mod: sys, tests: "source/procfs"},
	"source/procfs":     {may: ".", mod: sys, json: true, tests: "netns lab"},
	"source/dump":       {may: ". source/procfs", tests: "lab"},
	"source/fold":       {may: ".", pure: true},
	"source/sourcetest": {may: ". source netns internal/kernel internal/kerneltest", mod: sys + cmp},
	"netns":             {may: ". source/procfs internal/kernel", mod: sys, tests: "lab"},

	"capture":           {may: ".", pure: true, tests: "capture/recording"},
	"capture/recording": {may: ". capture", mod: "github.com/klauspost/compress", pure: true, std: "io"},
	"capture/live":      {may: "capture filter internal/kernel", mod: sys, tests: "capture/recording netns"},

	"remedy": {may: ". vet netns internal/kernel source source/procfs source/sockdiag", mod: sys + "github.com/cilium/ebpf", json: true, tests: "lab"},
	"run":    {may: ". netns internal/kernel source/procfs", mod: sys + "github.com/cilium/ebpf", json: true, tests: "lab source"},

	"trace":        {may: ". owner internal/kernel source source/procfs", mod: sys + "github.com/cilium/ebpf", tests: "lab capture capture/live capture/recording netns trace/symbol source/sockdiag"},
	"trace/symbol": {may: ". source/procfs", mod: sys + "github.com/ianlancetaylor/demangle", tests: "lab"},
	"owner":        {may: ". internal/kernel source/procfs", mod: sys + "github.com/cilium/ebpf", tests: "lab netns source source/sockdiag"},

	"filter":  {may: ".", pure: true, std: "os io"}, // /etc/services
	"vet":     {may: ".", pure: true},
	"rules":   {may: ". vet rules/*", pure: true, tests: "lab lab/scenarios source source/fold manual"},
	"rules/*": {may: ". vet", pure: true, tests: "rules/ruletest source/dump source/fold"},
	// It judges fixtures in the tests of rules.
	"rules/ruletest": {may: ". vet source source/fold", mod: "github.com/rogpeppe/go-internal"},
	"manual":         {may: ". vet", pure: true, std: "io io/fs", tests: "rules rules/*"},

	// A verdict is judged from values; what they are measured by is apart.
	"probe":        {may: ". vet", pure: true, tests: "manual rules"},
	"probe/live":   {may: ". netns probe source source/procfs", mod: sys + links + "golang.org/x/net"},
	"probe/server": {may: "probe vet", mod: sys + "golang.org/x/net"},
	"probe/path":   {may: ". probe", mod: sys, tests: "lab"},

	// What programs of others link.
	"internal/opened": {mod: sys},
	"keepalive":       {may: ". internal/opened source/procfs", mod: sys, tests: "lab", lean: true},
	"leaktest":        {may: "internal/opened", mod: sys, tests: "keepalive", lean: true},

	"report":        {may: ". capture vet manual probe report/jsonv1", pure: true, std: "io", tests: "rules source/fold capture/recording"},
	"report/jsonv1": {may: ". vet probe", pure: true, std: "io", json: true},
	"store":         {may: ". report/jsonv1", mod: "github.com/klauspost/compress"},

	"lab":           {may: ". capture capture/live internal/kernel", mod: sys + links, tests: "source source/sockdiag"},
	"lab/scenarios": {may: ". capture lab vet internal/kernel", mod: sys + links, tests: "source source/* rules vet netns remedy run probe/path report"},

	"internal/kernel":     {mod: sys},
	"internal/kerneltest": {may: "internal/kernel", mod: sys},
	"internal/cli": {may: ". capture capture/* filter lab lab/scenarios manual netns owner probe probe/* remedy report report/jsonv1 rules run source source/* store trace trace/* vet internal/kernel",
		mod: sys + "github.com/spf13/cobra github.com/spf13/pflag"},
	"cmd/tcpvet":    {may: "internal/cli", tests: ". rules manual lab lab/scenarios"},
	"docs/generate": {may: "internal/cli manual rules", mod: "github.com/spf13/cobra"},
	"bench":         {may: ". keepalive netns internal/kernel", mod: sys + "github.com/cilium/ebpf"},
}

// Modules that several lines name.
const (
	sys   = "golang.org/x/sys "
	cmp   = "github.com/google/go-cmp "
	links = "github.com/vishvananda/netlink "

	// forTests serves every test: guards, stages, oracles, comparison.
	forTests = cmp + sys + links + "go.uber.org/goleak pgregory.net/rapid github.com/rogpeppe/go-internal " +
		"github.com/mdlayher/netlink github.com/prometheus/procfs"
	// guards may be imported by every test.
	guards = "internal/kernel internal/kerneltest source/sourcetest"
)

func TestHouse(t *testing.T) {
	tree, err := readTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	// Were the walk to find nothing, nothing would be wrong.
	for _, folder := range []string{".", "vet", "source", "internal/kernel"} {
		if tree[folder] == nil {
			t.Errorf("folder %s was not read", folder)
		}
	}
	for _, law := range laws {
		for _, complaint := range law.broken(tree, house) {
			t.Errorf("%s: %s", law.name, complaint)
		}
	}
}

// Each law notices a tree that breaks it, and none objects to a sound one.
func TestHouseNotices(t *testing.T) {
	sound := map[string]string{
		"doc.go":                       "// Package tcpvet is.\npackage tcpvet\nimport \"time\"\nvar D time.Duration",
		"vet/vet.go":                   "// Package vet judges.\npackage vet\nimport \"github.com/tcpvet/tcpvet\"\nvar D = tcpvet.D",
		"vet/vet_test.go":              "package vet\nimport (\"os\"; \"testing\"; \"pgregory.net/rapid\")",
		"rules/rules.go":               "// Package rules lists.\npackage rules\nimport _ \"github.com/tcpvet/tcpvet/rules/half-open\"",
		"rules/half-open/rule.go":      "// Package halfopen is a rule.\npackage halfopen\nimport \"github.com/tcpvet/tcpvet/vet\"\nvar D = vet.D",
		"rules/half-open/r_test.go":    "package halfopen_test",
		"rules/half-open/testdata/a":   "x",
		"report/jsonv1/jsonv1.go":      "// Package jsonv1 writes.\npackage jsonv1\ntype T struct{ A int `json:\"a\"` }",
		"source/procfs/container.go":   "// Package procfs reads.\npackage procfs\ntype config struct{ A int `json:\"a\"` }",
		"internal/cli/cli.go":          "// Package cli is.\npackage cli\nimport (\"os\"; \"github.com/spf13/cobra\")",
		"cmd/tcpvet/main.go":           "// Command tcpvet is.\npackage main\nimport \"github.com/tcpvet/tcpvet/internal/cli\"",
		"tools/go.mod":                 "module github.com/tcpvet/tcpvet/tools",
		"tools/helpers/x.go":           "package helpers\nimport \"example.org/anything\"",
		"vet/testdata/src/util/a.go":   "package util\nimport \"example.org/anything\"",
		".cache/util/a.go":             "package util",
		"internal/kernel/k_linux.go":   "// Package kernel probes.\npackage kernel\nimport \"golang.org/x/sys/unix\"",
		"internal/kernel/k_other.go":   "//go:build !linux\n\npackage kernel",
		"internal/kernel/k_test.go":    "package kernel_test\nimport \"github.com/tcpvet/tcpvet/internal/kerneltest\"",
		"source/sockdiag/wire.go":      "// Package sockdiag asks.\npackage sockdiag\nimport \"github.com/tcpvet/tcpvet\"",
		"source/sockdiag/wire_test.go": "package sockdiag\nimport \"github.com/mdlayher/netlink\"",
	}
	const at = "github.com/tcpvet/tcpvet"
	for _, test := range []struct {
		name, file, text string // the file that is added or replaced; no text takes it away
		law, complaint   string // who complains, and words of it; none for nobody
	}{
		{name: "sound"},
		{"a rule imports a source", "rules/half-open/x.go", "package halfopen\nimport _ \"" + at + "/source\"", "direction", "rules/half-open imports source"},
		{"a source imports a rule", "source/sockdiag/x.go", "package sockdiag\nimport _ \"" + at + "/rules\"", "direction", "source/sockdiag imports rules"},
		{"the root imports a folder", "x.go", "package tcpvet\nimport _ \"" + at + "/vet\"", "direction", ". imports vet"},
		{"a command skips the cli", "cmd/tcpvet/x.go", "package main\nimport _ \"" + at + "/rules\"", "direction", "cmd/tcpvet imports rules"},
		{"a module without a line", "vet/x.go", "package vet\nimport _ \"pgregory.net/rapid\"", "direction", "vet imports pgregory.net/rapid"},
		{"a module whose name begins alike", "internal/kernel/x.go", "package kernel\nimport _ \"golang.org/x/sysother\"", "direction", "imports golang.org/x/sysother"},
		{"a test of a rule imports the cli", "rules/half-open/x_test.go", "package halfopen\nimport _ \"" + at + "/internal/cli\"", "direction", "a test of rules/half-open imports internal/cli"},
		{"a file of another system counts", "vet/x_windows.go", "package vet\nimport _ \"golang.org/x/sys/windows\"", "direction", "vet imports golang.org/x/sys"},
		{"a new folder", "budget/budget.go", "// Package budget is.\npackage budget", "allow-list", "budget has no line"},
		{"a drawer", "internal/util/x.go", "// Package util is.\npackage util", "names", "util"},
		{"a package named otherwise than its folder", "vet/vet.go", "// Package judge is.\npackage judge", "names", "package judge"},
		{"the root reads files", "x.go", "package tcpvet\nimport _ \"os\"", "purity", ". imports os"},
		{"the root takes a context", "x.go", "package tcpvet\nimport _ \"context\"", "purity", ". imports context"},
		{"the root speaks to the network", "x.go", "package tcpvet\nimport _ \"net/http\"", "purity", ". imports net/http"},
		{"the root starts a goroutine", "x.go", "package tcpvet\nfunc f() { go f() }", "purity", "x.go:2: starts a goroutine"},
		{"a rule reads the clock", "rules/half-open/x.go", "package halfopen\nimport \"time\"\nvar now = time.Now()", "purity", "x.go:3: reads the clock"},
		{"netip is a value", "x.go", "package tcpvet\nimport _ \"net/netip\"", "", ""},
		{"no package comment", "vet/vet.go", "package vet", "comment", "vet has 0"},
		{"two package comments", "vet/x.go", "// Package vet judges.\npackage vet", "comment", "vet has 2"},
		{"json on a domain type", "x.go", "package tcpvet\ntype T struct{ A int `json:\"a\"` }", "json", "x.go:2"},
		{"json exported by a reader", "source/procfs/x.go", "package procfs\ntype T struct{ A int `json:\"a\"` }", "json", "x.go:2"},
		{"json in a test", "vet/x_test.go", "package vet\ntype t struct{ A int `json:\"a\"` }", "", ""},
		{"a rule without a test", "rules/half-open/r_test.go", "", "rules", "half-open has no test"},
		{"a rule without fixtures", "rules/half-open/testdata/a", "", "rules", "half-open has no testdata"},
		{"a rule without its file", "rules/half-open/rule.go", "", "rules", "half-open has no rule.go"},
		{"a rule that is not listed", "rules/rules.go", "// Package rules lists.\npackage rules", "rules", "half-open is not imported by rules/*.go"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, text := range sound {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if test.file != "" && test.text == "" {
				delete(files, test.file)
			} else if test.file != "" {
				files[test.file] = &fstest.MapFile{Data: []byte(test.text)}
			}
			tree, err := readTree(files)
			if err != nil {
				t.Fatal(err)
			}
			heard := false
			for _, law := range laws {
				for _, complaint := range law.broken(tree, house) {
					if law.name != test.law && (law.name != "allow-list" || test.law != "names") {
						t.Errorf("law of %s: %s", law.name, complaint)
					}
					heard = heard || law.name == test.law && strings.Contains(complaint, test.complaint)
				}
			}
			if test.law != "" && !heard {
				t.Errorf("the law of %s did not say %q", test.law, test.complaint)
			}
		})
	}
}

// Two lines that allow each other would let data flow both ways.
func TestHouseNoticesCycle(t *testing.T) {
	bad := map[string]room{"a": {may: "b"}, "b": {may: "c/*"}, "c/x": {}, "c/*": {may: "a"}}
	tree := map[string]*folder{"a": {}, "b": {}, "c/x": {}, "c/y": {}}
	if got := brokenCycle(tree, bad); len(got) != 1 || !strings.Contains(got[0], "a -> b -> c/y -> a") {
		t.Errorf("got %q, want the way from a through b and c/y to a", got)
	}
	delete(bad, "c/*")
	if got := brokenCycle(tree, bad); len(got) != 0 {
		t.Errorf("a straight table: %q", got)
	}
}
