package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scratch is the name of a file that a program of a furnished stage keeps in its
// own /tmp.
const scratch = "tcpvet-lab-test-scratch"

// furnish gives a stage all that it can have: another host, links, a tap, and a
// program with files and a child of its own.
func furnish(ctx context.Context, s *Stage) error {
	h, err := s.NewHost(ctx, "other")
	if err != nil {
		return err
	}
	link, err := s.Link(ctx, s.Host, h, LinkOptions{})
	if err != nil {
		return err
	}
	if TUN.Met() == nil {
		if _, err := s.Tunnel(ctx, s.Host, h, LinkOptions{}); err != nil {
			return err
		}
	}
	if _, err := h.Tap(ctx, link.B.Interface); err != nil {
		return err
	}
	// The mark of the run, by which leftovers are found.
	var mark []string
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, runVariable) {
			mark = append(mark, v)
		}
	}
	p, err := h.Program(ctx, Program{Name: "sh", Args: []string{"-c", "sleep 3600 & echo started; wait"},
		Setup: Setup{Env: mark, Files: map[string]string{"/tmp/" + scratch: "x"}}})
	if err != nil {
		return err
	}
	if line, err := p.Line(ctx); err != nil || line != "started" {
		return fmt.Errorf("the program said %q, %v", line, err)
	}
	return nil
}

// noScratch makes sure that no file of a furnished stage is left.
func noScratch(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob("/tmp/" + scratch + "*")
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}
