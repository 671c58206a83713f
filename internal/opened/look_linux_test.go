package opened

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The state is what ss prints of the same socket.
func TestLook(t *testing.T) {
	var b Book
	c, s := pair(t)
	conn := Note(context.Background(), c, "test", 0, &b)
	ss := func() string {
		out, err := exec.Command(kerneltest.Tool(t, "ss"), "-Htan", "src", c.LocalAddr().String(), "dst", c.RemoteAddr().String()).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out) + " gone")[0]
	}
	if l := conn.Look(); l.State != "ESTAB" || l.State != ss() || !l.Open || l.Since != 0 {
		t.Errorf("%+v, ss %s", l, ss())
	}
	s.Write([]byte("seven b"))
	s.CloseWrite()
	until(t, "CLOSE-WAIT", func() bool { return ss() == "CLOSE-WAIT" })
	until(t, "the FIN was a while ago", func() bool { return conn.Look().Since >= 30*time.Millisecond })
	if l := conn.Look(); l.State != "CLOSE-WAIT" || l.Since > 10*time.Second || l.Unread != 7 {
		t.Errorf("%+v", l)
	}
	was := conn.Look().Acked
	c.Write([]byte("five!"))
	until(t, "five bytes are acknowledged", func() bool { return conn.Look().Acked-was >= 5 })
	if got := conn.Look().Acked - was; got != 5 {
		t.Errorf("%d bytes are acknowledged, want 5", got)
	}
	c.CloseWrite()
	if l := conn.Look(); l.State != ss() && l.State != "UNCONN" {
		t.Errorf("%+v, ss %s", l, ss())
	}
	until(t, "it has ended", func() bool { l := conn.Look(); return l.State == "UNCONN" && l.Open })
	c.Close()
	if l := conn.Look(); l != (Look{}) || conn.StillOpen() {
		t.Errorf("%+v after the close", l)
	}
}
