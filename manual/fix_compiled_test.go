package manual

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// program gives the path of a compiler or interpreter that is no part of
// packages.txt: its absence skips for every user.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s %s", kerneltest.NeedsProgram, name)
	}
	return path
}

const goMain = `package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	for range 3 {
		switch os.Args[1] {
		case "leak":
			_ = leak(os.Args[2])
		case "fetch":
			_ = fetch(os.Args[2])
		case "serve":
			conn, err := net.Dial("tcp", os.Args[2])
			if err != nil {
				panic(err)
			}
			fmt.Println(serve(conn))
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

`

func TestGoCloses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/fix\n\ngo 1.26\n")
	write(t, dir, "main.go", goMain+goLeak+"\n\n"+goCure+"\n\n"+goServe+"\n")
	bin := filepath.Join(dir, "fix")
	build := exec.Command(program(t, "go"), "build", "-o", bin, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOTOOLCHAIN=local")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		verb      string
		closeWait int
	}{{"leak", 3}, {"fetch", 0}} {
		t.Run(test.verb, func(t *testing.T) {
			// Longer than what fetch drains, and than what a response has read ahead.
			port, lapse := webServer(t, "404 Not Found", strings.Repeat("x", 100<<10))
			running(t, bin, test.verb, fmt.Sprintf("http://127.0.0.1:%d/", port))
			lapse()
			waitClosed(t, port, test.closeWait)
		})
	}
	t.Run("serve", func(t *testing.T) {
		port, echoed := echoClient(t)
		if got := running(t, bin, "serve", fmt.Sprintf("127.0.0.1:%d", port)); got != "EOF\nEOF\nEOF\n" {
			t.Errorf("serve returned %q", got)
		}
		checkServed(t, port, echoed)
	})
}

// checkServed wants that three connections were answered and are closed.
func checkServed(t *testing.T, port int, echoed <-chan string) {
	t.Helper()
	for range 3 {
		if got := <-echoed; got != "hello\n" {
			t.Errorf("answer %q", got)
		}
	}
	waitClosed(t, port, 0)
}

const cMain = `
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || keep_alive(fd) || connect(fd, (struct sockaddr *)&a, sizeof a))
			return 1;
		int on = 0, idle = 0;
		socklen_t len = sizeof on;
		if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) || getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len))
			return 1;
		int served = serve(fd);
		printf("%d %d %d\n", on, idle, served);
	}
	puts("ready");
	fflush(stdout);
	return getchar() != EOF;
}
`

func TestCCloses(t *testing.T) {
	cc := program(t, "gcc")
	dir := t.TempDir()
	bin := filepath.Join(dir, "fix")
	source := write(t, dir, "fix.c", cCure+"\n"+cKeepalive+"\n"+cMain)
	if out, err := exec.Command(cc, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", bin, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, echoed := echoClient(t)
	if got := running(t, bin, fmt.Sprint(port)); got != "1 30 0\n1 30 0\n1 30 0\n" {
		t.Errorf("keepalive, idle, status: %q", got)
	}
	checkServed(t, port, echoed)
}

func TestRustCloses(t *testing.T) {
	rustc := program(t, "rustc")
	if err := exec.Command(rustc, "--version").Run(); err != nil {
		t.Skipf("%s rustc: there is a wrapper and no compiler: %v", kerneltest.NeedsProgram, err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "fix")
	source := write(t, dir, "fix.rs", rustCure+`

fn main() {
    let port: u16 = std::env::args().last().unwrap().parse().unwrap();
    for _ in 0..3 {
        serve(TcpStream::connect(("127.0.0.1", port)).unwrap()).unwrap();
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
`)
	if out, err := exec.Command(rustc, "--edition", "2021", "-D", "warnings", "-o", bin, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, echoed := echoClient(t)
	running(t, bin, fmt.Sprint(port))
	checkServed(t, port, echoed)
}

func TestJavaCloses(t *testing.T) {
	java, javac := program(t, "java"), program(t, "javac")
	dir := t.TempDir()
	write(t, dir, "Fetch.java", javaCure+"\n")
	write(t, dir, "Main.java", `class Main {
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 3; i++) {
            System.out.println(Fetch.size(args[0]));
        }
        System.out.println("ready");
        System.in.read();
    }
}
`)
	if out, err := exec.Command(javac, "-Xlint:all", "-Werror", "-d", dir, filepath.Join(dir, "Fetch.java"), filepath.Join(dir, "Main.java")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, lapse := webServer(t, "200 OK", "hello")
	if got := running(t, java, "-cp", dir, "Main", fmt.Sprintf("http://127.0.0.1:%d/", port)); got != "5\n5\n5\n" {
		t.Errorf("sizes %q", got)
	}
	lapse()
	waitClosed(t, port, 0)
}
