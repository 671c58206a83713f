package server

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/probe"
)

// output keeps what a program writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a program until the test is over.
func start(t *testing.T, name string, args ...string) *output {
	t.Helper()
	cmd := exec.Command(kerneltest.Tool(t, name), args...)
	out := new(output)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, out)
		}
	})
	return out
}

const nginxServer = `server { listen %s; %s location / { return 200 "stock\n"; } location /gone { return 301 /stock; } location /none { return 404; } }`

// nginx starts one with further directives.
func nginx(t *testing.T, directives string) netAddr {
	t.Helper()
	at := free(t)
	start(t, "nginx", "-e", "stderr", "-c", write(t, "nginx.conf", kerneltest.NginxConfig(t.TempDir(), 512, fmt.Sprintf(nginxServer, at, directives))))
	at.listening(t)
	return at
}

// nginx counts keepalive_timeout from the end of a request, and keepalive_requests
// with the first one (ngx_http_core_module).
func TestNginx(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		directives string
		path       string
		keeps      time.Duration // 0 for not at all
		requests   int           // 0 for more than are made
		honest     probe.Honesty
		status     int
	}{
		{"keepalive_timeout 1s;", "", time.Second, 0, probe.HintUnknown, 200},
		{"keepalive_timeout 5s;", "gone", 5 * time.Second, 0, probe.HintUnknown, 301},
		{"keepalive_timeout 2s; keepalive_requests 3;", "none", 2 * time.Second, 3, probe.HintUnknown, 404},
		{"keepalive_timeout 0;", "", 0, 1, probe.HintUnknown, 200},
		{"keepalive_timeout 5s 20s;", "", 5 * time.Second, 0, probe.HintLong, 200},
		{"keepalive_timeout 2s 2s;", "", 2 * time.Second, 0, probe.HintTrue, 200},
		{"keepalive_timeout 3s 2s;", "", 3 * time.Second, 0, probe.HintShort, 200},
	} {
		t.Run(test.directives, func(t *testing.T) {
			t.Parallel()
			h, k := keeping(t, nginx(t, test.directives).url()+test.path, nil)
			if test.keeps > 0 {
				encloses(t, h, k, test.keeps)
			}
			if h.Answer.Close != (test.keeps == 0) || k.How != probe.ByFIN || h.Answer.Status != test.status || !strings.HasPrefix(h.Answer.Server, "nginx") {
				t.Errorf("%+v, ended by %s", h.Answer, k.How)
			}
			if got := h.Honest(&k); got != test.honest && slowest(h) < calm {
				t.Errorf("announces %q: that is %s, want %s", h.Answer.Hint.Text, got, test.honest)
			}
			n, limited := h.Requests.Limit()
			switch {
			case test.keeps == 0:
			case test.requests > 0 && (!limited || n != test.requests || !h.Requests.Told || h.Requests.How != probe.StillOpen):
				t.Errorf("a connection is given %d requests (%v), want %d: %+v", n, limited, test.requests, h.Requests)
			case test.requests == 0 && (limited || h.Requests.Answered != 20):
				t.Errorf("a connection is given %d requests, want more than 20: %+v", n, h.Requests)
			}
		})
	}
}

// Node's HTTP server keeps connections for server.keepAliveTimeout, which it announces,
// and by version for a second more. What it has set on an idle connection, it tells
// itself (socket.timeout).
func TestNode(t *testing.T) {
	t.Parallel()
	const program = `const http = require('http'), [ip, port, ms] = process.argv.slice(2);
let socket;
const s = http.createServer((q, r) => r.end('ok\n')).on('connection', c => { socket = c; });
if (ms > 0) s.keepAliveTimeout = +ms;
const tell = () => socket.timeout > 0 ? console.log('keeps', s.keepAliveTimeout, socket.timeout) : setTimeout(tell, 10);
s.listen(+port, ip, () => http.get({host: ip, port, agent: new http.Agent({keepAlive: true})}, r => r.resume().on('end', tell)));
`
	for _, ms := range []int{0, 1000} {
		t.Run(fmt.Sprint(ms), func(t *testing.T) {
			t.Parallel()
			at := free(t)
			out := start(t, "node", write(t, "server.js", program), at.ip, fmt.Sprint(at.port), fmt.Sprint(ms))
			var announces, keeps int
			for pause(t.Context(), 10*time.Millisecond) {
				if _, err := fmt.Sscanf(out.String(), "keeps %d %d\n", &announces, &keeps); err == nil {
					break
				}
			}
			if ms > 0 && announces != ms {
				t.Fatalf("it is to announce %d ms, and announces %d", ms, announces)
			}
			h, k := keeping(t, at.url(), nil)
			encloses(t, h, k, time.Duration(keeps)*time.Millisecond)
			if hint := h.Answer.Hint; !hint.HasTimeout || hint.Timeout != time.Duration(announces)*time.Millisecond || k.How != probe.ByFIN {
				t.Errorf("announces %q, want %d ms; ended by %s", hint.Text, announces, k.How)
			}
			// It is a second too short by version, which shows where the limit is
			// enclosed well enough.
			want := probe.HintTrue
			if keeps > announces && k.Survived > time.Duration(announces+keeps)*time.Millisecond/2 {
				want = probe.HintShort
			}
			if got := h.Honest(&k); got != want && slowest(h) < calm {
				t.Errorf("what it announces is %s, want %s: %s", got, want, k.Enclosed())
			}
		})
	}
}

// Apache says in Keep-Alive how long it keeps a connection, and for how many more
// requests, to who asks for it (ap_set_keepalive).
func TestApache(t *testing.T) {
	t.Parallel()
	at, dir := free(t), t.TempDir()
	var modules strings.Builder
	for _, name := range []string{"mpm_event", "authz_core"} {
		fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
	}
	conf := fmt.Sprintf("ServerRoot %s\nDefaultRuntimeDir %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/log\nServerName localhost\nListen %s\n%sUser nobody\nGroup nogroup\n", dir, at, modules.String())
	start(t, "apache2", "-X", "-f", write(t, "httpd.conf", conf+"KeepAliveTimeout 2\nMaxKeepAliveRequests 3\n"))
	at.listening(t)
	h, k := keeping(t, at.url(), nil)
	encloses(t, h, k, 2*time.Second)
	if hint := h.Answer.Hint; hint.Timeout != 2*time.Second || !hint.HasMax || k.How != probe.ByFIN {
		t.Errorf("announces %q; ended by %s", hint.Text, k.How)
	}
	if got := h.Honest(&k); got != probe.HintTrue && slowest(h) < calm {
		t.Errorf("what it announces is %s", got)
	}
	if n, limited := h.Requests.Limit(); !limited || n != 1+h.Answer.Hint.Max {
		t.Errorf("a connection is given %d requests (%v), and %d more were announced with the first: %+v", n, limited, h.Answer.Hint.Max, h.Requests)
	}
}

// Python's http.server speaks HTTP/1.0, and ends each connection with its answer.
func TestPython(t *testing.T) {
	t.Parallel()
	at := free(t)
	start(t, "python3", "-m", "http.server", "--bind", at.ip, "--directory", t.TempDir(), fmt.Sprint(at.port))
	at.listening(t)
	h, k := keeping(t, at.url(), nil)
	if h.Answer.Protocol != "HTTP/1.0" || !h.Answer.Close || k.How != probe.ByFIN {
		t.Errorf("%+v, ended by %s", h.Answer, k.How)
	}
	if text := h.Text()[0]; !strings.Contains(text, "HTTP/1.0") || !strings.Contains(text, "keeps no connection open") {
		t.Errorf("%q", text)
	}
}
