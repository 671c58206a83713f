package leaktest

import (
	"os"
	"strings"
	"testing"
)

// page compares the tools; what it says of leaktest and goleak is measured here.
const page = "../docs/leaktest.md"

// TestPageCompares runs goleak on the table of programs and holds the page to it.
func TestPageCompares(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[strings.Trim(cells[1], "`")] = cells[3:5]
	}
	for name := range rows {
		if _, ok := programs[name]; !ok {
			t.Errorf("%s compares program %q, which is none", page, name)
		}
	}
	for name, p := range programs {
		row := rows[name]
		if row == nil {
			t.Errorf("%s has no row of program `%s`", page, name)
			continue
		}
		if got := p.told(); row[0] != got {
			t.Errorf("%s says of `%s` that leaktest %q, it %q", page, name, row[0], got)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, passed := play(t, name, "goleak")
			if got := goleakFound(t, out, passed); row[1] != got {
				t.Errorf("%s says of goleak %q, it %q:\n%s", page, row[1], got, out)
			}
		})
	}
}

// told is what TestPrograms holds leaktest to.
func (p program) told() string {
	switch {
	case p.logs != nil:
		return "logs it"
	case p.leaks == 0:
		return "silent"
	case p.line != "":
		return "names the line"
	}
	return "names the connection"
}

// goleakFound reads what goleak prints: goroutines of the program, or none but those
// that serve its peer, which is in the same process only because it is a test.
func goleakFound(t *testing.T, out string, passed bool) string {
	t.Helper()
	_, list, found := strings.Cut(out, "found unexpected goroutines:")
	if passed || !found {
		if !passed {
			t.Errorf("failed without goleak:\n%s", out)
		}
		return "silent"
	}
	for _, g := range strings.Split(list, "Goroutine ")[1:] {
		serves := false
		for _, of := range []string{
			"net/http/httptest.(*Server)", "net/http.(*Server).Serve", "net/http.(*conn).", "net/http.(*connReader).", "net/http.(*http2serverConn)",
			"kerneltest.Serve.func", "leaktest.peer.func", "leaktest.upgrade.func",
		} {
			serves = serves || strings.Contains(g, of)
		}
		if !serves {
			return "found"
		}
	}
	return "its server only"
}
