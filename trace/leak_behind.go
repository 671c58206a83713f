package trace

import (
	"strings"

	"github.com/tcpvet/tcpvet"
)

// indirection is a way to open connections for somebody else: the stack of the
// connect() is then not that of the code which asked for the connection.
type indirection struct {
	symbols []string // of which a frame's begins with one
	files   []string // of which a frame's ends with one
	note    string
}

// indirections are tried in order.
var indirections = []indirection{{
	symbols: []string{"net/http.(*Transport).dialConn", "net/http.(*Transport).startDialConn", "net/http.(*http2"},
	note: "An http.Transport opened them in goroutines of its own, so the stack is not that of the request: look for requests to this " +
		"service whose Response.Body is not closed. Whose request it was is told where the program has DWARF (no -ldflags '-s -w'), but for the first connections of a process",
}, {
	symbols: []string{"database/sql.(*DB).connectionOpener", "database/sql.(*DB).openNewConnection"},
	note:    "The pool of database/sql opened them in a goroutine of its own, so the stack is not that of the query: look for Rows, Conn or Tx that are not closed",
}, {
	symbols: []string{"google.golang.org/grpc.(*addrConn)", "google.golang.org/grpc.newHTTP2Client"},
	note:    "A grpc.ClientConn opened them in a goroutine of its own: look for ClientConns that are not closed",
}, {
	symbols: []string{"github.com/jackc/pgx/v5/pgxpool.", "github.com/jackc/puddle", "github.com/redis/go-redis/v9/internal/pool."},
	note:    "A pool opened them, in a goroutine of its own or for whoever came first: look for connections that are not given back",
}, {
	files: []string{"/asyncio/base_events.py", "/asyncio/selector_events.py", "/asyncio/runners.py", "/uvloop/loop.pyx", "/trio/_core/_run.py"},
	note:  "An event loop opened them, so the stack may be the loop's and not that of the task that asked: look for sessions and writers of this service that are not closed",
}, {
	files: []string{"/urllib3/connectionpool.py"},
	note:  "A pool of urllib3 opened them for a request, which may be another one than that which did not close its response or session",
}, {
	symbols: []string{"uv__tcp_connect", "uv_tcp_connect", "uv__io_poll", "uv_run", "node::TCPWrap::Connect", "node::TCPWrap::Connect6"},
	note:    "libuv opened them, mostly after a name was looked up, so the stack may begin in its loop and not in the code that asked for the connection",
}, {
	symbols: []string{"io.netty.", "Lio/netty/", "io/netty/"},
	note:    "An event loop of netty opened them, so the stack is not that of the code that asked for the connection",
}, {
	symbols: []string{"tokio::runtime::", "<tokio::runtime::", "async_std::", "boost::asio::detail::scheduler"},
	note:    "The worker of an asynchronous runtime opened them: of the stack only the task that it ran is told, not who started that",
}}

// behind says what the stacks do not tell of who asked for the connections, "" where
// nothing hints at somebody else.
func behind(leak *tcpvet.Leak) string {
	if leak.Asker != nil {
		return "An http.Transport opened them, for the request that waited; another request may have used them since"
	}
	for _, in := range indirections {
		for i := range leak.Stack {
			if in.matches(&leak.Stack[i]) {
				return in.note
			}
		}
	}
	return ""
}

func (in *indirection) matches(f *tcpvet.Frame) bool {
	for _, s := range in.symbols {
		if strings.HasPrefix(f.Symbol, s) {
			return true
		}
	}
	for _, s := range in.files {
		if strings.HasSuffix(f.File, s) {
			return true
		}
	}
	return false
}
