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

func TestCurlTakesOneConnection(t *testing.T) {
	kerneltest.Tool(t, "curl")
	// So long an answer that curl, whose output nobody reads, waits in the midst of it.
	port, _ := webServer(t, "200 OK", strings.Repeat("x", 8<<20))
	cmd := exec.CommandContext(t.Context(), kerneltest.Tool(t, "bash"), "-c", fmt.Sprintf("base=http://127.0.0.1:%d\n", port)+strings.Replace(curlCommand, "--max-time 10", "--max-time 60", 1))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wantProbes(t, 1, recipeIdle, toPort(port)...)
	n := 0
	for buf := make([]byte, 1<<16); ; {
		m, err := out.Read(buf)
		n += m
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil || n != 3*8<<20 {
		t.Errorf("%d bytes of three answers of 8 MiB, %v", n, err)
	}
}

const curlMain = `
#include <stdio.h>

int main(int argc, char **argv)
{
	CURL *curl = client();

	if (argc != 2 || !curl)
		return 1;
	for (int i = 0; i < 3; i++)
		printf("%d\n", fetch(curl, argv[1]));
	puts("ready");
	fflush(stdout);
	getchar();
	curl_easy_cleanup(curl);
	return 0;
}
`

func TestLibcurlKeeps(t *testing.T) {
	cc := program(t, "gcc")
	dir := t.TempDir()
	bin := filepath.Join(dir, "fix")
	if out, err := exec.Command(cc, "-Wall", "-Wextra", "-Werror", "-o", bin, write(t, dir, "fix.c", curlHandle+"\n"+curlMain), "-lcurl").CombinedOutput(); err != nil {
		if strings.Contains(string(out), "curl/curl.h: No such file") && os.Geteuid() != 0 {
			t.Skipf("%s libcurl4-openssl-dev: install Debian package libcurl4-openssl-dev", kerneltest.NeedsProgram)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	port, lapse := webServer(t, "200 OK", "hello")
	if got := running(t, bin, fmt.Sprintf("http://127.0.0.1:%d/", port)); got != "0\n0\n0\n" {
		t.Errorf("fetch gave %q", got)
	}
	wantProbes(t, 1, recipeIdle, toPort(port)...)
	lapse()
	// It looks at an idle connection only when it wants one.
	waitClosed(t, port, 1)
}
