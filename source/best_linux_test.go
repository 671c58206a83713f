package source_test

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// looked takes a Census of the thread's namespace and says by what, and why.
func looked(t *testing.T, src source.Source, want tcpvet.Facts) (name, why string) {
	t.Helper()
	c, err := source.Take(t.Context(), src, ownOnly(t, want), source.TakeOptions{})
	must(t, err)
	if c.Source != src.Name() {
		t.Errorf("the census is by %s, and the source says %s", c.Source, src.Name())
	}
	return c.Source, source.Why(src)
}

// Loading programs is for large hosts, and for questions that descriptors answer;
// the reason is told.
func TestRootAutoChooses(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	kerneltest.Netns(t)
	keepNetns(t)
	for _, test := range []struct {
		name  string
		files uint64 // that make it worth it
		want  tcpvet.Facts
		by    string
		why   string
	}{
		{"few files", 1 << 62, tcpvet.FactHolders, "netlink", "files open on this host"},
		{"many files", 0, tcpvet.FactHolders, "bpf", "files open on this host"},
		{"no holders", 0, tcpvet.FactInfo, "netlink", "nobody asked who holds"},
	} {
		t.Run(test.name, func(t *testing.T) {
			src, err := source.OpenFrom(test.files)
			must(t, err)
			if by, why := looked(t, src, test.want); by != test.by || !strings.Contains(why, test.why) {
				t.Errorf("looked by %s: %s; want %s: %s", by, why, test.by, test.why)
			}
			var l listed
			must(t, src.Look(t.Context(), ownOnly(t, test.want), &l))
			if src.Name() != test.by || len(l.sockets) == 0 {
				t.Errorf("told %d sockets by %s, want some by %s", len(l.sockets), src.Name(), test.by)
			}
			if settled := source.Settle(src, ownOnly(t, test.want)); settled.Name() != test.by {
				t.Errorf("settled for %s, want %s", settled.Name(), test.by)
			}
		})
	}
}

// Where the kernel lacks something, or does not take the programs after all,
// netlink looks, and what is missing is named. Asked for bpf alone it is an error.
func TestRootAutoFallsBack(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Netns(t)
	keepNetns(t)
	for name, lack := range map[string]func(string) func(){"probe": source.WithoutBPF, "load": source.WithoutLoading} {
		t.Run(name, func(t *testing.T) {
			if name == "load" {
				kerneltest.Need(t, bpfiter.Probe)
			}
			const missing = "BTF (/sys/kernel/btf/vmlinux)"
			defer lack(missing)()
			for way, look := range map[string]func(t *testing.T, src source.Source){
				"take": func(t *testing.T, src source.Source) { looked(t, src, tcpvet.FactHolders) },
				"look": func(t *testing.T, src source.Source) {
					var l listed
					must(t, src.Look(t.Context(), ownOnly(t, tcpvet.FactHolders), &l))
					if len(l.sockets) == 0 {
						t.Error("no socket was told")
					}
				},
				"settle": func(t *testing.T, src source.Source) { source.Settle(src, ownOnly(t, tcpvet.FactHolders)) },
			} {
				src, err := source.OpenFrom(0)
				must(t, err)
				look(t, src)
				if src.Name() != "netlink" || !strings.Contains(source.Why(src), missing) {
					t.Errorf("%s: by %s: %s; want netlink, since there is no %s", way, src.Name(), source.Why(src), missing)
				}
			}
			src, err := source.Open("bpf")
			if err == nil {
				_, err = source.Take(t.Context(), src, ownOnly(t, 0), source.TakeOptions{})
			}
			if err == nil || !strings.Contains(err.Error(), missing) {
				t.Errorf("bpf alone: %v; want an error that names %s", err, missing)
			}
		})
	}
}
