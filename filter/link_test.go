package filter

import (
	"errors"
	"strings"
	"testing"
)

// A link is read where tcpvet ls and where ss print it, and written as the first.
func TestParseLink(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"dst [fe80::99]", "dst [fe80::99]"},
		{"dst [fe80::99%2]", "dst [fe80::99%2]"},
		{"dst [fe80::99%2]:8080", "dst [fe80::99%2]:8080"},
		{"dst [fe80::99]%2", "dst [fe80::99%2]"},
		{"dst [fe80::99]%2:8080", "dst [fe80::99%2]:8080"},
		{"dst [fe80::99]%2:*", "dst [fe80::99%2]"},
		{"dst fe80::99%2", "dst [fe80::99%2]"},
		{"dst fe80::99%2:8080", "dst [fe80::99%2]:8080"},
		{"dst fe80::99%lo", "dst [fe80::99%1]"},
		{"dst != [fe80::99%2147483647]", "not dst [fe80::99%2147483647]"},
	} {
		f, err := Parse([]string{row.text})
		if err != nil || f.String() != row.want {
			t.Errorf("Parse(%q) = %q, %v; want %q", row.text, f, err, row.want)
		}
	}
	for _, row := range []struct{ text, part string }{
		{"src [fe80::1%eth0]", `"eth0" is not the number of a link, and names are not looked up: write the number, as tcpvet ls does in [fe80::1%2]`},
		{"src fe80::1%eth0:22", `"eth0" is not the number of a link`},
		{"src [fe80::1]%eth0:22", `"eth0" is not the number of a link`},
		{"src [fe80::1%]", `"" is not the number of a link`},
		{"src fe80::1%0", `"0" is not the number of a link`},
		{"src fe80::1%2147483648", `"2147483648" is not the number of a link`},
		{"src [fe80::1%2]%2", `"%2" is neither a port nor a prefix length`},
		{"src [fe80::1%2/64]", "a zone goes with a whole address"},
		{"src fe80::1%2/64", "a zone goes with a whole address"},
		{"src [fe80::1%2]/64", "a zone goes with a whole address"},
		{"src [2001:db8::1%2]", "only a link-local IPv6 address has a zone"},
		{"src [::1%lo]", "only a link-local IPv6 address has a zone"},
		{"src 127.0.0.53%lo:53", "only a link-local IPv6 address has a zone"},
		{"src *%2:53", "only a link-local IPv6 address has a zone"},
	} {
		_, err := Parse([]string{row.text})
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok || e.Column != len("src ")+1 || !strings.Contains(e.Error(), row.part) {
			t.Errorf("Parse(%q): %v, want column 5 and %q", row.text, err, row.part)
		}
	}
}
