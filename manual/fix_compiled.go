package manual

func fixGo() Topic {
	return Topic{
		Name:    "fix go",
		Aliases: []string{"golang", "fix golang", "go"},
		Section: Fixes,
		Title:   "Go: response bodies and plain connections",
		Body: []Block{
			Para("What leaks: a response whose body is neither read to its end nor closed. Its connection belongs to the response until then, so nobody reads it, and when the server closes it stays in CLOSE-WAIT with Recv-Q 1 or more. Idle connections of the pool do not leak: the transport reads them and closes at the end."),
			Code{Lang: "go", Text: goLeak},
			Para("Close it in a defer, right behind the check of err. Drain a short body first, so that the connection can be used again. One client for the whole program, with bounds."),
			Code{Lang: "go", Text: goCure},
			Para("A plain connection is closed by whoever dialled or accepted it, and every read has a deadline. A server that never reads does not notice that its client has gone."),
			Code{Lang: "go", Text: goServe},
			Heading("keepalive, and ports that do not run out"),
			Para("Go turns keepalive on by itself, and sets TCP_NODELAY: 15 s idle, 15 s between probes, 9 probes (30 s idle in http.DefaultTransport). So a peer that vanished is noticed after two and a half minutes, and data under way to it is sent again for a quarter of an hour. Package keepalive sets shorter times and a user timeout, keeps the pool's idle limit below the server's, and keeps new connections within what the local ports sustain:"),
			Code{Lang: "go", Text: goKeepAlive},
			Para("`keepalive.Client` gives such a client, which also knows the line of a request over https."),
			Para("In tests, package leaktest names the line that opened what was left open:"),
			Code{Lang: "go", Text: goLeakTest},
		},
		See:  []string{"CLOSE-WAIT", "keepalive"},
		Refs: []string{"package net/http: Client.Do, Transport", "package net: KeepAliveConfig", "package github.com/tcpvet/tcpvet/keepalive", "package github.com/tcpvet/tcpvet/leaktest"},
	}
}

const (
	goLeak = `func leak(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status) // leaks: the body is not closed
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}`

	goCure = `var client = &http.Client{
	Timeout: 10 * time.Second,
	Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxConnsPerHost:     100,
		MaxIdleConnsPerHost: 10,
		IdleConnTimeout:     30 * time.Second, // below the server's limit
	},
}

func fetch(url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
		return errors.New(resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}`

	goKeepAlive = `var kept = &http.Client{
	Timeout: 10 * time.Second,
	Transport: keepalive.Transport(keepalive.Options{
		Idle:       30 * time.Second,
		ServerIdle: 75 * time.Second, // nginx's keepalive_timeout
		MaxPerHost: 100,
		Budget:     &keepalive.Budget{MaxWait: 5 * time.Second},
		TrackLeaks: true, // says which line left a CLOSE-WAIT behind
	}),
}`

	goLeakTest = `func TestFetch(t *testing.T) {
	leaktest.Check(t) // first: it looks when all else is over
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if err := fetch(server.URL); err == nil {
		t.Error("404 is no error")
	}
}`

	goServe = `func serve(conn net.Conn) error {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		deadline := time.Now().Add(time.Minute)
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if err != nil {
			return err // io.EOF: the client has closed
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
	}
}`
)

func fixJava() Topic {
	return Topic{
		Name:    "fix java",
		Aliases: []string{"java", "fix jvm", "jvm", "fix httpclient", "httpclient"},
		Section: Fixes,
		Title:   "Java: HttpClient, Apache HttpClient and streams",
		Body: []Block{
			Para("What leaks: a response stream that is not closed, mostly because an exception left the method first; a client built for each request; a pool of Apache HttpClient, which does not look at its idle connections unless it is told to. The server closes them, and they stay until a request wants one."),
			Para("The client of the JDK, 11 and later. One for the program; the stream in a try that closes it:"),
			Code{Lang: "java", Text: javaCure},
			Para("Apache HttpClient 4.5: let it evict, and close each response."),
			Code{Lang: "java", Text: javaApache},
			Para("The client of the JDK closes an idle connection after `jdk.httpclient.keepalive.timeout`, in seconds: 30 in Java 20 and later, 1,200 before. Set it below the server's limit, by `-Djdk.httpclient.keepalive.timeout=30`."),
			Para("Keepalive is off by default. The client of the JDK offers none: `tcpvet run` gives it some. A plain socket takes it, with its times since Java 11:"),
			Code{Lang: "java", Text: javaKeepAlive},
			Para("For Apache HttpClient, `SocketConfig.custom().setSoKeepAlive(true)`, with the kernel's times."),
		},
		See:  []string{"CLOSE-WAIT", "keepalive"},
		Refs: []string{"java.net.http.HttpClient", "module java.net.http: jdk.httpclient.keepalive.timeout", "jdk.net.ExtendedSocketOptions", "Apache HttpClient 4.5: Connection management"},
	}
}

const (
	javaCure = `import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

class Fetch {
    static final HttpClient CLIENT = HttpClient.newBuilder()
        .connectTimeout(Duration.ofSeconds(5))
        .build();

    static long size(String url) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
            .timeout(Duration.ofSeconds(10))
            .build();
        HttpResponse<InputStream> response =
            CLIENT.send(request, HttpResponse.BodyHandlers.ofInputStream());
        try (InputStream body = response.body()) {
            return body.readAllBytes().length;
        }
    }
}`

	javaKeepAlive = `import java.io.IOException;
import java.net.Socket;
import java.net.StandardSocketOptions;
import jdk.net.ExtendedSocketOptions;

class KeepAlive {
    static void set(Socket socket) throws IOException {
        socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
        socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, 30);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, 10);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, 3);
    }
}`

	javaApache = `CloseableHttpClient client = HttpClients.custom()
    .setMaxConnPerRoute(50)
    .evictExpiredConnections()
    .evictIdleConnections(30, TimeUnit.SECONDS)
    .build();

try (CloseableHttpResponse response = client.execute(new HttpGet(url))) {
    EntityUtils.consume(response.getEntity());
}`
)

func fixC() Topic {
	return Topic{
		Name:    "fix c",
		Aliases: []string{"c", "fix cpp", "cpp", "fix epoll", "epoll"},
		Section: Fixes,
		Title:   "C and C++: the end of file, error paths and children",
		Body: []Block{
			Para("What leaks: a read() of 0 that is taken for \"nothing yet\"; a return on an error path before close(); a loop over epoll with EPOLLET that does not read until EAGAIN and so never sees the end; a child that inherited the descriptor."),
			Code{Lang: "c", Text: cCure},
			List{
				"Open with SOCK_CLOEXEC (socket(), accept4()), or every child keeps the connection open.",
				"Write with MSG_NOSIGNAL, or a peer that has gone kills the process by SIGPIPE.",
				"With epoll, take EPOLLRDHUP and EPOLLHUP as a reason to read to the end and close.",
			},
			Para("Keepalive, where a peer may vanish without a word. It finds that out on an idle connection, TCP_USER_TIMEOUT on one with data under way. Let the second be idle + probes x pause of the first: it overrides the number of probes."),
			Code{Lang: "c", Text: cKeepalive},
			Para("Small messages that wait for an answer also want TCP_NODELAY."),
		},
		See:  []string{"CLOSE-WAIT", "EPIPE", "keepalive"},
		Refs: []string{"read(2), close(2), accept4(2), epoll(7), tcp(7)"},
	}
}

const (
	cCure = `#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Serves one client and closes it on every path. */
int serve(int fd)
{
	char buf[4096];
	int status = 0;

	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf);
		if (n == 0)
			break; /* the peer has closed: so do we */
		if (n < 0) {
			if (errno == EINTR)
				continue;
			status = -1;
			break;
		}
		for (ssize_t sent = 0; sent < n;) {
			ssize_t m = send(fd, buf + sent, n - sent, MSG_NOSIGNAL);
			if (m < 0 && errno == EINTR)
				continue;
			if (m < 0) {
				status = -1;
				goto out;
			}
			sent += m;
		}
	}
out:
	close(fd);
	return status;
}`

	cKeepalive = `#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int keep_alive(int fd)
{
	int on = 1, idle = 30, pause = 10, probes = 3;
	unsigned int most = 60000; /* ms, for data that nobody acknowledges */

	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof pause) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most))
		return -1;
	return 0;
}`
)

func fixRust() Topic {
	return Topic{
		Name:    "fix rust",
		Aliases: []string{"rust"},
		Section: Fixes,
		Title:   "Rust: what is never dropped",
		Body: []Block{
			Para("A socket is closed when it is dropped. What leaks is what stays alive: streams in a map of clients that nobody removes, a task that waits for a channel and not for its socket, an `Arc` in a cycle, `mem::forget`. A read of 0 bytes is the end, and `?` does not see it."),
			Code{Lang: "rust", Text: rustCure},
			Para("In an async program, wait for the socket together with whatever else the task waits for (tokio's `select!`), and put a time limit around it. With reqwest: one Client for the program, and read or drop each response."),
		},
		See:  []string{"CLOSE-WAIT", "fix"},
		Refs: []string{"std::net::TcpStream", "std::io::Read::read"},
	}
}

const rustCure = `use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut buf = [0u8; 4096];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Ok(()); // the peer has closed; stream is dropped here
        }
        stream.write_all(&buf[..n])?;
    }
}`
