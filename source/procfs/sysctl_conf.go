package procfs

import (
	"bytes"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// ParseSysctlConf reads a file of sysctl.conf(5); file is its name. Lines that
// set nothing are passed over. Blanks inside of a value become one.
func ParseSysctlConf(file string, b []byte) []tcpvet.Setting {
	var settings []tcpvet.Setting
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "-")) // "-" before a name: an error is no matter
		if !ok || name == "" {
			continue
		}
		settings = append(settings, tcpvet.Setting{File: file, Line: n, Name: settingName(name), Value: strings.Join(strings.Fields(value), " ")})
	}
	return settings
}

// settingName gives a name with dots between its parts. It is written with dots,
// or with slashes, whichever comes first; the other then stands for itself in the
// name of an interface.
func settingName(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.NewReplacer("/", ".", ".", "/").Replace(name)
}
