package scenarios

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/tcpvet/tcpvet/lab"
)

// bodyReader answers HTTP requests by Go's net/http, each once it has read all of
// its body.
var bodyReader = lab.Act{Name: "body-reader", Learn: func(c *lab.Cues) {
	lab.On(c, bodyServe, serveBodies)
}}

// The cue of bodyReader.
const bodyServe = "serve" // netip.AddrPort, struct{}: listen and serve

func serveBodies(on netip.AddrPort) (struct{}, error) {
	config := net.ListenConfig{KeepAlive: -1}
	l, err := config.Listen(context.Background(), "tcp", on.String())
	if err != nil {
		return struct{}{}, fmt.Errorf("listen on %s: %w", on, err)
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_, _ = io.WriteString(w, reply)
		}))
	}()
	return struct{}{}, nil
}

// adapterProgram makes requests through adapters with other socket options. The
// options as printed are those of the article.
const adapterProgram = `
import socket
import statistics
import time

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

AS_PRINTED = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
]
OPTIONS = {
    "default": None,
    "printed": AS_PRINTED,
    "added": HTTPConnection.default_socket_options + AS_PRINTED,
}


class OptionsAdapter(HTTPAdapter):
    def __init__(self, options):
        self.options = options
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, socket_options=self.options, **kwargs)


kept = []


@cue
def post(order):
    session = requests.Session()
    kept.append(session)
    options = OPTIONS[order["Options"]]
    if options is not None:
        session.mount("http://", OptionsAdapter(options))
    body = b"x" * order["Bytes"]
    with session.post(order["URL"], data=body, stream=True) as response:
        s = response.raw._connection.sock
        told = {
            "Port": s.getsockname()[1],
            "NoDelay": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            "Keepalive": s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            "Idle": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            "Interval": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        }
        response.content
    took = []
    for _ in range(order["Times"]):
        begin = time.perf_counter_ns()
        session.post(order["URL"], data=body).raise_for_status()
        took.append(time.perf_counter_ns() - begin)
    told["Defaults"] = len(HTTPConnection.default_socket_options)
    told["Median"] = int(statistics.median(took))
    return told
`

type postOrder struct {
	Options string // of OPTIONS
	URL     string
	Bytes   int // of each body
	Times   int
}

// posted is what the program tells of a session: the port and the options of its
// connection, and how long a request took, in nanoseconds.
type posted struct {
	Port               int
	NoDelay, Keepalive int
	Idle, Interval     int // seconds
	Defaults           int // options in urllib3's own list
	Median             int64
}
