package procfs

import (
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	p, err := ParsePorts("32768\t60999\n", "8080,9148-9150,60000-61000\n")
	if err != nil {
		t.Fatal(err)
	}
	if p.Low != 32768 || p.High != 60999 || p.Size() != 28232 {
		t.Errorf("range %d-%d", p.Low, p.High)
	}
	if n := p.Reserved.Count(0, 65535); n != 1+3+1001 || p.ReservedInside() != 1000 || !p.Reserved.Has(9149) || p.Reserved.Has(9151) {
		t.Errorf("%d reserved, %d inside", n, p.ReservedInside())
	}
	if p, err := ParsePorts("1 65535", "\n"); err != nil || p.Size() != 65535 || p.Reserved.Count(0, 65535) != 0 {
		t.Errorf("widest range, nothing reserved: %+v, %v", p, err)
	}
	for _, bad := range [][2]string{{"", ""}, {"1", ""}, {"2 1", ""}, {"1 65536", ""}, {"1 2 3", ""}, {"a b", ""}, {"1 2", "x"}, {"1 2", "5-"}, {"1 2", "9-8"}, {"1 2", "5,,6"}, {"1 2", "70000"}} {
		if p, err := ParsePorts(bad[0], bad[1]); err == nil {
			t.Errorf("%q was read as %+v", bad, p)
		}
	}
}

func TestPortsOf(t *testing.T) {
	if p, err := PortsOf(nil); p != nil || err != nil {
		t.Errorf("nothing known: %v, %v", p, err)
	}
	if p, err := PortsOf(map[string]string{"net.ipv4.ip_local_port_range": "1 2"}); err == nil {
		t.Errorf("reserved ports not known: %v", p)
	}
}

func FuzzPorts(f *testing.F) {
	f.Fuzz(func(t *testing.T, portRange, reserved string) {
		p, err := ParsePorts(portRange, reserved)
		if err != nil {
			return
		}
		if p.Low > p.High || p.ReservedInside() > p.Size() {
			t.Fatalf("%q %q: %+v", portRange, reserved, p)
		}
		if none := strings.TrimSpace(reserved) == ""; none != (p.Reserved.Count(0, 65535) == 0) {
			t.Fatalf("%q: %d reserved", reserved, p.Reserved.Count(0, 65535))
		}
	})
}
