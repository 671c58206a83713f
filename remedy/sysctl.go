package remedy

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// PersistFile is where settings are kept for the next boot unless another file is
// named (sysctl.d.5).
const PersistFile = "/etc/sysctl.d/90-tcpvet.conf"

// SysctlOptions says which settings to change.
type SysctlOptions struct {
	// Settings are those that the user named. Netns 0 is one's own.
	Settings []tcpvet.SetSysctl

	// Findings propose settings by their remedies, and speak against others. Of
	// two that set the same to different values the first decides; what Settings
	// name goes before.
	Findings []tcpvet.Finding

	// Census tells which ports are taken; nil where nobody has looked.
	Census *tcpvet.Census

	Persist bool   // keep them for the next boot
	File    string // where, "" for PersistFile
}

// ParseSetting reads NAME=VALUE as sysctl(8) does. The name may be written with dots
// or slashes; blanks inside of the value become one.
func ParseSetting(s string) (tcpvet.SetSysctl, error) {
	const want = "expected NAME=VALUE, such as net.ipv4.tcp_tw_reuse=1"
	if strings.ContainsAny(s, "\n\r\x00") {
		return tcpvet.SetSysctl{}, fmt.Errorf("parse setting %.60q: it has more than one line; %s", s, want)
	}
	read := procfs.ParseSysctlConf("", []byte(s))
	if len(read) != 1 {
		return tcpvet.SetSysctl{}, fmt.Errorf("parse setting %.60q: %s", s, want)
	}
	set := tcpvet.SetSysctl{Name: read[0].Name, Value: read[0].Value, Why: "as asked for"}
	if _, err := settingPath(set.Name); err != nil {
		return tcpvet.SetSysctl{}, err
	}
	// To have no reserved ports is a value.
	if set.Value == "" && set.Name != reservedSetting {
		return tcpvet.SetSysctl{}, fmt.Errorf("parse setting %.60q: the value is missing; %s", s, want)
	}
	return set, nil
}

const (
	rangeSetting    = "net.ipv4.ip_local_port_range"
	reservedSetting = "net.ipv4.ip_local_reserved_ports"
	reuseSetting    = "net.ipv4.tcp_tw_reuse"
	stampsSetting   = "net.ipv4.tcp_timestamps"
	bucketsSetting  = "net.ipv4.tcp_max_tw_buckets"
)

// errNoSetting says that a name cannot be a setting of the network.
var errNoSetting = errors.New("no setting of the network: expected a name such as net.ipv4.tcp_tw_reuse")

// settingPath gives the file of a dotted name. A slash in it stands for a dot, as in
// the name of an interface: net.ipv6.conf.eth0/5.disable_ipv6.
func settingPath(name string) (string, error) {
	parts := strings.Split(name, ".")
	if len(parts) < 3 || parts[0] != "net" || len(name) > 200 {
		return "", fmt.Errorf("parse setting name %.60q: %w", name, errNoSetting)
	}
	for i, part := range parts {
		part = strings.ReplaceAll(part, "/", ".")
		if part == "" || strings.Trim(part, ".") == "" || strings.ContainsFunc(part, notInName) {
			return "", fmt.Errorf("parse setting name %.60q: %w", name, errNoSetting)
		}
		parts[i] = part
	}
	return filepath.Join("/proc/sys", filepath.Join(parts...)), nil
}

// notInName tells of a character that neither a setting nor an interface that people
// name has.
func notInName(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("/\\\"'`$;&|<>(){}[]*?!#=", r)
}

// oneBlank writes a value as it is compared.
func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }
