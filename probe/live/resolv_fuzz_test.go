package live

import (
	"strings"
	"testing"
	"time"
)

// A resolv.conf of a container is the choice of whoever made that. Whatever it
// says, there is a server to ask, within the bounds of resolv.conf(5).
func FuzzResolv(f *testing.F) {
	f.Add("nameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch a.test b.test.\noptions ndots:2 timeout:1 attempts:3\n", "web")
	f.Add("domain .\noptions ndots:-1 timeout:99999999999999999999\n", "web.")
	f.Fuzz(func(t *testing.T, text, name string) {
		r := parseResolv(text)
		if n := len(r.servers); n < 1 || n > most {
			t.Errorf("%d servers", n)
		}
		for _, s := range r.servers {
			if !s.IsValid() || s.Port() != 53 {
				t.Errorf("server %v", s)
			}
		}
		if r.ndots < 0 || r.ndots > 15 || r.timeout < time.Second || r.timeout > 30*time.Second || r.attempts < 1 || r.attempts > 5 {
			t.Errorf("%+v", r)
		}
		names := r.names(name)
		if len(names) == 0 {
			t.Error("no name to ask for")
		}
		for _, n := range names {
			if !strings.HasPrefix(n, name) || !strings.HasSuffix(n, ".") {
				t.Errorf("%q is asked for as %q", name, n)
			}
		}
	})
}
