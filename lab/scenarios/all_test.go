package scenarios

import (
	"os"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet/lab"
)

func TestAll(t *testing.T) {
	acts := make(map[string]bool)
	var names []string
	for _, sc := range All {
		names = append(names, sc.Name)
		if _, err := os.Stat(sc.Name + ".go"); err != nil {
			t.Errorf("scenario %s has no file of its name: %v", sc.Name, err)
		}
		if sc.Title == "" || sc.Play == nil || sc.Descriptors == nil {
			t.Errorf("scenario %s is incomplete", sc.Name)
		}
		for _, act := range sc.Acts {
			acts[act.Name] = true
		}
		if err := sc.Check(lab.Options{Ports: lab.MinPorts}); err != nil {
			t.Errorf("scenario %s in its smallest size: %v", sc.Name, err)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(All) {
		t.Errorf("the scenarios are not in order, or one is there twice: %v", names)
	}
	if len(acts) == 0 {
		t.Error("no scenario has an act")
	}
}
