package manual

import (
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrnosByNumberAndMessage(t *testing.T) {
	for _, e := range []syscall.Errno{
		unix.EADDRNOTAVAIL, unix.EADDRINUSE, unix.ECONNREFUSED, unix.ETIMEDOUT, unix.ENETUNREACH, unix.EHOSTUNREACH,
		unix.EINVAL, unix.EAGAIN, unix.EMFILE, unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED,
	} {
		name := unix.ErrnoName(e)
		number := itoa(int(e))
		for _, query := range []string{
			name, number, "errno " + number, "[Errno " + number + "]", "os error " + number,
			e.Error(), // the message, as Go has it from the kernel's list
			"connect failed: " + e.Error(),
			"OSError: [Errno " + number + "] something",
			"Error: connect " + name + " 10.0.3.7:8080 - Local (0.0.0.0:0)",
		} {
			topic, _, ok := Find(query)
			if !ok || topic.Name != name || topic.Section != Errnos {
				t.Errorf("Find(%q) = %q, %v, want %s", query, topic.Name, ok, name)
			}
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestFindInWhatPeoplePaste(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"Failed to establish a new connection: [Errno 99] Cannot assign requested address", "EADDRNOTAVAIL"},
		{"dial tcp 10.0.3.7:8080: connect: cannot assign requested address", "EADDRNOTAVAIL"},
		{"java.net.NoRouteToHostException: Cannot assign requested address (Address not available)", "EADDRNOTAVAIL"},
		{`thread 'main' panicked: Os { code: 98, message: "Address already in use" }`, "EADDRINUSE"},
		{"accept4() failed (24: Too many open files)", "EMFILE"},
		{"dial tcp 10.0.3.7:8080: i/o timeout", "ETIMEDOUT"},
		{"read ECONNRESET", "ECONNRESET"},
		{"write: broken pipe", "EPIPE"},
		{"net.ipv4.tcp_fin_timeout = 60", "tcp_fin_timeout"},
		{"CLOSE-WAIT 1      0      10.0.3.1:40000   10.0.3.7:8080", "CLOSE-WAIT"},
		{"tcp        1      0 10.0.3.1:40000          10.0.3.7:8080           CLOSE_WAIT  4121/python3", "CLOSE-WAIT"},
		{"Article 9", "article 9"},
		{"claim 31", "article 31"},
		{"TIME_WAIT vs CLOSE_WAIT", "time-wait or close-wait"},
		{"SO_LINGER", "linger"},
		{"TCP_NODELAY", "nagle"},
		{" fix  Python ", "fix python"},
	} {
		topic, _, ok := Find(test.query)
		if !ok || topic.Name != test.want {
			t.Errorf("Find(%q) = %q, %v, want %q", test.query, topic.Name, ok, test.want)
		}
	}
}

func TestFindOffersNearNames(t *testing.T) {
	for _, test := range []struct {
		query string
		near  string // among those offered; "" for none at all
	}{
		{"TIEM_WAIT", "TIME-WAIT"},
		{"close-wiat", "CLOSE-WAIT"},
		{"tcp_tw_resue", "tcp_tw_reuse"},
		{"EADRNOTAVAIL", "EADDRNOTAVAIL"},
		{"fix pyton", "fix python"},
		{"keep", "keepalive"},
		{"tcp_tw", "tcp_tw_recycle"},
		{"errno 7", "errnos"},
		{"article 32", "article 2"},
		{"xyzzy", ""},
		{"", ""},
		{"the quick brown fox jumps over the lazy dog and never comes back", ""},
	} {
		topic, near, ok := Find(test.query)
		if ok {
			t.Errorf("Find(%q) found %q", test.query, topic.Name)
			continue
		}
		if test.near == "" && len(near) > 0 || test.near != "" && !slices.Contains(near, test.near) || len(near) > nearest {
			t.Errorf("Find(%q) offers %q, want %q among them", test.query, near, test.near)
		}
		for _, name := range near {
			if topic, _, ok := Find(name); !ok || topic.Name != name {
				t.Errorf("Find(%q) offers %q, which is no topic", test.query, name)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	// By hand: insert, drop, change, swap.
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "abxc", 1}, {"abc", "ac", 1},
		{"abc", "axc", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := distance(test.b, test.a); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

// FuzzFind checks that any query ends in a topic or in names of topics.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"CLOSE_WAIT", "[Errno 99] Cannot assign requested address", "fix pyton", "errno", "os error 4294967296", "\xff\x00'\"", "net.ipv4.tcp_fin_timeout = 60"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		topic, near, ok := Find(query)
		if ok != (topic.Name != "") || ok && len(near) > 0 || len(near) > nearest {
			t.Errorf("Find(%q) = %q, %q, %v", query, topic.Name, near, ok)
		}
		for _, name := range near {
			if _, _, ok := Find(name); !ok {
				t.Errorf("Find(%q) offers %q, which it does not know", query, name)
			}
		}
	})
}
