package tcpvet

import "testing"

func TestContainerIsCalled(t *testing.T) {
	full := &Container{ID: "3f4e9c02b7aa5d10", Name: "api", Pod: "shop"}
	for _, tt := range []struct {
		c    *Container
		name string
		want bool
	}{
		{full, "api", true},
		{full, "ap", false},
		{full, "shop", true},
		{full, "sho", false},
		{full, "3f4e9c02b7aa5d10", true},
		{full, "3f4e", true},
		{full, "3f4", false},
		{full, "f4e9", false},
		{full, "3f4e9c02b7aa5d10f", false},
		{full, "", false},
		{&Container{ID: "ct1"}, "ct1", true}, // as systemd-nspawn and LXC have them
		{&Container{ID: "ct1"}, "", false},
		{nil, "api", false},
		{nil, "", false},
	} {
		if got := tt.c.IsCalled(tt.name); got != tt.want {
			t.Errorf("%+v is called %q: %v, want %v", tt.c, tt.name, got, tt.want)
		}
	}
}
