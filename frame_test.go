package tcpvet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestFrameLibrary(t *testing.T) {
	for _, test := range []struct {
		symbol, file, module string
		want                 bool
	}{
		{"", "", "app", true}, // nothing is known
		{"__libc_connect", "connect.c", "libc.so.6", true},
		{"__libc_connect", "", "libc.so.6", true},
		{"_start", "", "ld-linux-x86-64.so.2", true},
		{"__vdso_gettimeofday", "", "[vdso]", true},
		{"leak", "leak.c", "app", false},
		{"leak", "", "app", false},
		{"pool_get", "pool.c", "libpool.so", true},
		{"main.leak", "/src/leak.go", "app", false},
		{"net.Dial", "/usr/local/go/src/net/dial.go", "app", true},
		{"net/http.(*Client).Do", "net/http/client.go", "app", true}, // -trimpath
		{"internal/runtime/syscall/linux.Syscall6", "/usr/local/go/src/internal/runtime/syscall/linux/asm_linux_amd64.s", "app", true},
		{"runtime.goexit", "/usr/local/go/src/runtime/asm_amd64.s", "app", true},
		{"myapp/store.(*Pool).get", "/src/store/pool.go", "app", false}, // a module without a dot
		{"network.Dial", "/src/network/dial.go", "app", false},
		{"github.com/lib/pq.(*conn).dial", "/root/go/pkg/mod/github.com/lib/pq@v1.10.9/conn.go", "app", true},
		{"github.com/lib/pq.(*conn).dial", "github.com/lib/pq@v1.10.9/conn.go", "app", true},
		{"github.com/lib/pq.(*conn).dial", "/src/vendor/github.com/lib/pq/conn.go", "app", true},
		{"github.com/us/app/db.Open", "/src/db/open.go", "app", false},
		{"create_connection", "/usr/lib/python3.11/socket.py", "python3.11", true},
		{"send", "/srv/venv/lib/python3.12/site-packages/requests/adapters.py", "python3.12", true},
		{"send", "/usr/lib/python3/dist-packages/requests/adapters.py", "python3.11", true},
		{"_find_and_load", "<frozen importlib._bootstrap>", "python", true},
		{"leak_often", "/srv/app.py", "python3.11", false},
		{"leak_often", "app.py", "libpython3.11.so.1.0", false},
		{"PyObject_Vectorcall", "", "python3.11", true},
		{"node::TCPWrap::Connect", "", "node", true},
		{"internalConnect", "node:net", "perf-12.map", true},
		{"fetchAll", "/srv/app.js", "perf-12.map", false},
		{"get", "/srv/node_modules/agent/index.js", "perf-12.map", true},
		{"Ljava/net/Socket;::connect", "", "perf-12.map", true},
		{"io.netty.channel.nio.NioEventLoop.run", "", "perf-12.map", true},
		{"com.example.Leak.open", "", "perf-12.map", false},
		{"Interpreter", "", "perf-12.map", true},
	} {
		f := tcpvet.Frame{Symbol: test.symbol, File: test.file, Module: test.module}
		if got := f.Library(); got != test.want {
			t.Errorf("%q %q %q: %v", test.symbol, test.file, test.module, got)
		}
	}
}
