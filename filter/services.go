package filter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// servicesFile names the services of the machine (services(5)). It is read
// only when a filter names one.
const servicesFile = "/etc/services"

// maxServices bounds how much of it is read, in bytes: 80 times Debian's.
const maxServices = 1 << 20

var errNoService = errors.New("no such service")

// lookupService gives the TCP port of a service.
func lookupService(name string) (uint16, error) {
	if !serviceName(name) {
		return 0, fmt.Errorf("%s is neither a number nor the name of a service", quote(name))
	}
	f, err := os.Open(servicesFile)
	if err != nil {
		return 0, fmt.Errorf("look up service %q: %w; give its number", name, err)
	}
	defer f.Close()
	port, err := findService(f, name)
	if err != nil {
		return 0, fmt.Errorf("look up service %q in %s: %w; give its number", name, servicesFile, err)
	}
	return port, nil
}

// ServicePort gives the TCP port of a service that the machine names.
func ServicePort(name string) (port uint16, ok bool) {
	port, err := lookupService(name)
	return port, err == nil
}

// findService looks for the TCP port of a service, by its name or an alias, in
// the format of services(5).
func findService(r io.Reader, name string) (uint16, error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxServices))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if !strings.Contains(line, name) {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, protocol, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || protocol != "tcp" {
			continue
		}
		fields[1] = fields[0]
		for _, alias := range fields[1:] {
			if alias == name {
				return uint16(port), nil
			}
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoService
}

// serviceName tells whether text is made as names of services are: it spares
// the file a search for what is a slip of the pen.
func serviceName(text string) bool {
	letter := false
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			letter = true
		case '0' <= c && c <= '9' || strings.IndexByte("-_.+/*", c) >= 0:
		default:
			return false
		}
	}
	return letter && len(text) <= longestWord
}
