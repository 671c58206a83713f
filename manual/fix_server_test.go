package manual

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// freePort gives a port of loopback that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// served starts a server that stays in the foreground, and waits until it listens.
func served(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", name, err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on port %d", name, port)
		}
	}
}

// The two addresses of a recipe for a proxy are those of this run.
func placed(t *testing.T, recipe string, upstream int, listen string) string {
	t.Helper()
	placed := strings.ReplaceAll(recipe, "10.0.3.7:8080", fmt.Sprintf("127.0.0.1:%d", upstream))
	if listen != "" {
		placed = strings.Replace(placed, "listen 8081", "listen "+listen, 1)
	}
	if placed == recipe || listen != "" && !strings.Contains(placed, listen) {
		t.Fatalf("the recipe has other addresses:\n%s", recipe)
	}
	return placed
}

func TestNginxKeeps(t *testing.T) {
	nginx := kerneltest.Tool(t, "nginx")
	upstream, lapse := webServer(t, "200 OK", "hello")
	port, dir := freePort(t), t.TempDir()
	conf := write(t, dir, "nginx.conf", kerneltest.NginxConfig(dir, 512, placed(t, nginxCure, upstream, fmt.Sprintf("127.0.0.1:%d", port))))
	args := []string{"-p", dir, "-e", "stderr", "-c", conf}
	if out, err := exec.Command(nginx, append(args, "-t")...).CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") {
		t.Fatalf("%v\n%s", err, out)
	}
	served(t, port, nginx, args...)
	for range 3 {
		asked(t, port, "/")
	}
	wantProbes(t, 3, recipeIdle, fromPort(port)...)
	wantProbes(t, 1, kernelIdle, toPort(upstream)...) // one: the three used it one after the other
	lapse()
	waitClosed(t, upstream, 0)
}

func TestApacheKeeps(t *testing.T) {
	apache := kerneltest.Tool(t, "apache2")
	upstream, lapse := webServer(t, "200 OK", "hello")
	port, dir := freePort(t), t.TempDir()
	var modules strings.Builder
	for _, name := range []string{"mpm_event", "authz_core", "proxy", "proxy_http"} {
		fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
	}
	// Beside Apache stands the user nobody, whom it becomes where it is root.
	conf := write(t, dir, "httpd.conf", fmt.Sprintf("ServerRoot %s\nDefaultRuntimeDir %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/log\nServerName localhost\nListen 127.0.0.1:%d\n%sUser nobody\nGroup nogroup\n", dir, port, modules.String())+
		placed(t, apacheCure, upstream, "")+"\n")
	if out, err := exec.Command(apache, "-t", "-f", conf).CombinedOutput(); err != nil || !strings.Contains(string(out), "Syntax OK") {
		t.Fatalf("%v\n%s", err, out)
	}
	served(t, port, apache, "-X", "-f", conf)
	for range 3 {
		asked(t, port, "/app/")
	}
	wantProbes(t, 3, kernelIdle, fromPort(port)...)
	wantProbes(t, 1, kernelIdle, toPort(upstream)...)
	lapse()
	// No clock has Apache look: it keeps what the backend closed.
	waitClosed(t, upstream, 1)
}
