package manual

import (
	"encoding/json"
	"fmt"
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

	"github.com/tcpvet/tcpvet/keepalive"
)

func main() {
	for range 3 {
		switch os.Args[1] {
		case "leak":
			_ = leak(os.Args[2])
		case "fetch":
			_ = fetch(os.Args[2])
		case "kept":
			resp, err := kept.Get(os.Args[2])
			if err != nil {
				panic(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
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

const goRecipes = goLeak + "\n\n" + goCure + "\n\n" + goKeepAlive + "\n\n" + goServe + "\n"

// goCommand runs a go command on a package of these files, in the module that this
// test is of and without a trace in its folders.
func goCommand(t *testing.T, files map[string]string, args ...string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	folder, err := filepath.Abs("recipe")
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for name, text := range files {
		overlay["Replace"][filepath.Join(folder, name)] = write(t, dir, name, text)
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{args[0], "-overlay", write(t, dir, "overlay.json", string(raw))}, args[1:]...)
	return exec.Command(program(t, "go"), append(args, "./recipe")...).CombinedOutput()
}

// TestGoLeakTest runs the test of the page on the cure and on the leak.
func TestGoLeakTest(t *testing.T) {
	const imports = `package recipe

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tcpvet/tcpvet/leaktest"
)

`
	code := strings.Replace(goMain[:strings.Index(goMain, "func main")], "package main", "package recipe", 1) +
		goRecipes + "\nvar _ = fmt.Sprint(os.Args)\n"
	for _, test := range []struct {
		call  string
		leaks bool
	}{{"fetch(", false}, {"leak(", true}} {
		t.Run(test.call, func(t *testing.T) {
			leakTest := strings.Replace(goLeakTest, "fetch(server", test.call+"server", 1)
			bin := filepath.Join(t.TempDir(), "fix.test")
			if out, err := goCommand(t, map[string]string{"recipe.go": code, "recipe_test.go": imports + leakTest + "\n"}, "test", "-vet=off", "-c", "-o", bin); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(bin).CombinedOutput()
			line := 0
			for i, text := range strings.Split(code, "\n") {
				if strings.Contains(text, "http.Get(url)") {
					line = i + 1
				}
			}
			want := fmt.Sprintf("recipe.go:%d: ", line)
			if named := strings.Contains(string(out), want); (err != nil) != test.leaks || named != test.leaks {
				t.Errorf("failed %v, named %s %v; want %v:\n%s", err != nil, want, named, test.leaks, out)
			}
		})
	}
}

func TestGoCloses(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "fix")
	if out, err := goCommand(t, map[string]string{"main.go": goMain + goRecipes}, "build", "-o", bin); err != nil {
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
	t.Run("kept", func(t *testing.T) {
		port, lapse := webServer(t, "200 OK", "hello")
		running(t, bin, "kept", fmt.Sprintf("http://127.0.0.1:%d/", port))
		wantProbes(t, 1, recipeIdle, toPort(port)...)
		lapse()
		waitClosed(t, port, 0)
	})
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
	if (argc != 3)
		return 2;
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[i < 3 ? 1 : 2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || keep_alive(fd) || connect(fd, (struct sockaddr *)&a, sizeof a))
			return 1;
		int on = 0, idle = 0;
		socklen_t len = sizeof on;
		if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) || getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len))
			return 1;
		if (i == 3)
			break; /* stays open */
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
	held, _ := webServer(t, "200 OK", "hello")
	if got := running(t, bin, fmt.Sprint(port), fmt.Sprint(held)); got != "1 30 0\n1 30 0\n1 30 0\n" {
		t.Errorf("keepalive, idle, status: %q", got)
	}
	wantProbes(t, 1, recipeIdle, toPort(held)...)
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
	write(t, dir, "KeepAlive.java", javaKeepAlive+"\n")
	write(t, dir, "Main.java", `class Main {
    public static void main(String[] args) throws Exception {
        java.net.Socket held = new java.net.Socket("127.0.0.1", Integer.parseInt(args[1]));
        KeepAlive.set(held);
        for (int i = 0; i < 3; i++) {
            System.out.println(Fetch.size(args[0]));
        }
        System.out.println("ready");
        System.in.read();
        held.close();
    }
}
`)
	if out, err := exec.Command(javac, "-Xlint:all", "-Werror", "-d", dir, filepath.Join(dir, "Fetch.java"), filepath.Join(dir, "KeepAlive.java"), filepath.Join(dir, "Main.java")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, lapse := webServer(t, "200 OK", "hello")
	held, _ := webServer(t, "200 OK", "hello")
	if got := running(t, java, "-cp", dir, "Main", fmt.Sprintf("http://127.0.0.1:%d/", port), fmt.Sprint(held)); got != "5\n5\n5\n" {
		t.Errorf("sizes %q", got)
	}
	wantProbes(t, 1, recipeIdle, toPort(held)...)
	lapse()
	waitClosed(t, port, 0)
}
