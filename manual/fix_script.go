package manual

func fixPython() Topic {
	return Topic{
		Name:    "fix python",
		Aliases: []string{"python", "fix requests", "requests", "fix urllib3"},
		Section: Fixes,
		Title:   "Python: requests, urllib3 and plain sockets",
		Body: []Block{
			Para("What leaks: a `Session` for each request, kept somewhere. Its pool holds the connection after the server has closed it. A response got with `stream=True` that is kept, and neither read nor closed. A session in a cycle of references, which waits for the garbage collector. A bare `requests.get()` does not leak; it closes its own session."),
			Code{Lang: "python", Text: pythonLeak},
			Para("One session for all requests, closed at the end. Give each request a time limit."),
			Code{Lang: "python", Text: pythonSession},
			Para("A response that is streamed is closed as well:"),
			Code{Lang: "python", Text: pythonStream},
			Para("`requests.Session().close()`, the article's cure with its slip mended, closes a session that was just made, and none of those that leak."),
			Heading("keepalive, without losing TCP_NODELAY"),
			Para("A list of socket options *replaces* urllib3's own list, whose only entry turns Nagle's delay off. So add to it. Behind an HTTP proxy do the same in `proxy_manager_for`."),
			Code{Lang: "python", Text: pythonAdapter},
			Para("This finds dead peers: idle ones after 30 + 3 x 10 s, and by TCP_USER_TIMEOUT (in ms, Linux only) those with a request under way. It does not close what the program forgets."),
			Para("`pool_maxsize` is how many connections the pool keeps for one host: 10 by default, and what is opened beyond is closed after its answer, which makes a TIME-WAIT of each. With `pool_block` threads wait for one instead. The pool has no idle limit. A connection that the server closed stays in CLOSE-WAIT until the session takes it out for a request, which notices and opens another, or is closed: up to the size of the pool, that is no leak."),
		},
		See:  []string{"CLOSE-WAIT", "keepalive", "nagle"},
		Refs: []string{"requests: Advanced Usage, Session Objects", "urllib3: HTTPConnection.default_socket_options"},
	}
}

// The Python programs take urls, a list, from what surrounds them.
const (
	pythonLeak = `# leaks: the list keeps every session, and each session its connection
import requests

kept = []
for url in urls:
    session = requests.Session()
    kept.append(session)
    session.get(url, timeout=10)`

	pythonSession = `import requests

with requests.Session() as session:
    for url in urls:
        session.get(url, timeout=10)`

	pythonStream = `import requests

with requests.Session() as session:
    for url in urls:
        with session.get(url, stream=True, timeout=10) as response:
            for chunk in response.iter_content(65536):
                print(len(chunk))`

	pythonAdapter = `import socket

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection


class KeepAliveAdapter(HTTPAdapter):
    def init_poolmanager(self, *args, **kwargs):
        kwargs["socket_options"] = HTTPConnection.default_socket_options + [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60000),
        ]
        super().init_poolmanager(*args, **kwargs)


session = requests.Session()
adapter = KeepAliveAdapter(pool_maxsize=50, pool_block=True)
session.mount("http://", adapter)
session.mount("https://", adapter)`
)

func fixNode() Topic {
	return Topic{
		Name:    "fix node",
		Aliases: []string{"node", "nodejs", "fix nodejs", "javascript", "fix javascript"},
		Section: Fixes,
		Title:   "Node: http, fetch and net",
		Body: []Block{
			Para("What leaks: a response whose body nobody reads, once it is longer than what Node reads ahead. The stream is paused, so Node does not read the socket, does not see the end, and cannot give the connection back. With `allowHalfOpen` on, a server must also call end() itself."),
			Code{Lang: "javascript", Text: nodeLeak},
			Para("One agent for the whole program, with bounds. Read each body or throw it away with resume()."),
			Code{Lang: "javascript", Text: nodeCure},
			Para("With fetch(): read the body, or call `await response.body?.cancel()`."),
			List{
				"`keepAliveMsecs` is the idle time of TCP keepalive, 1 s by default. Node fixes the interval at 1 s and the number of probes at 10.",
				"`timeout` of the agent closes what is idle for so long. Only with it the agent also heeds what a server announces (`Keep-Alive: timeout=`): it closes a second before that, and releases before the end of 2024 at that moment. Where the server closes first, the agent notices at once: it reads its idle sockets.",
				"TCP_NODELAY is on for http. fetch() sets keepalive with 60 s idle.",
			},
			Heading("servers"),
			Para("A Node server closes idle connections after 5 s (`server.keepAliveTimeout`). Behind a balancer that is too short: set it above the balancer's idle limit, or requests race the close and end in 502. It sets no keepalive unless told to, so clients that vanish stay for ever."),
			Code{Lang: "javascript", Text: nodeServer},
		},
		See:  []string{"CLOSE-WAIT", "keepalive"},
		Refs: []string{"Node.js documentation: http.Agent, http.ClientRequest, server.keepAliveTimeout"},
	}
}

// The Node programs take url from what surrounds them.
const (
	nodeLeak = `// leaks: takes the response and never reads its body
const http = require('node:http');

http.get(url, (response) => {
  console.log(response.statusCode);
});`

	nodeCure = `const http = require('node:http');

const agent = new http.Agent({
  keepAlive: true,
  keepAliveMsecs: 30000, // TCP keepalive
  timeout: 30000, // an idle connection is closed after this
  maxSockets: 50,
  maxFreeSockets: 10,
});

http.get(url, { agent, timeout: 10000 }, (response) => {
  console.log(response.statusCode);
  response.resume();
}).on('timeout', function () {
  this.destroy(new Error('no answer in 10 s'));
}).on('error', (err) => {
  console.error(err.message);
});`

	// nodeServer takes port from what surrounds it.
	nodeServer = `const http = require('node:http');

const server = http.createServer({
  keepAlive: true,
  keepAliveInitialDelay: 30000,
  keepAliveTimeout: 75000, // above the 60 s of many balancers
}, (request, response) => {
  request.resume();
  response.end('hello');
});
server.listen(port, '127.0.0.1');`
)

func fixPHP() Topic {
	return Topic{
		Name:    "fix php",
		Aliases: []string{"php"},
		Section: Fixes,
		Title:   "PHP: workers that live long, curl and streams",
		Body: []Block{
			Para("Under a plain web server a leak ends with the request, and so does the connection. What leaks are workers that live on: queue consumers, Swoole, RoadRunner, and persistent sockets of FPM (`pfsockopen`, `PDO::ATTR_PERSISTENT`)."),
			Para("What leaks there: handles and streams that are kept in a static property or an array. Since PHP 8.0 curl_close() does nothing; the connection is closed when the last reference to the handle goes."),
			Code{Lang: "php", Text: phpCure},
			Para("With Guzzle: one client for the worker, and `close()` on the body of each response that was asked for with `'stream' => true`."),
		},
		See:  []string{"CLOSE-WAIT", "fix"},
		Refs: []string{"PHP manual: curl_close, pfsockopen", "libcurl: CURLOPT_TCP_KEEPALIVE"},
	}
}

const phpCure = `<?php
// One handle for all requests: it uses its connection again.
$curl = curl_init();
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
    CURLOPT_TCP_KEEPALIVE => 1,
]);
foreach ($urls as $url) {
    curl_setopt($curl, CURLOPT_URL, $url);
    $body = curl_exec($curl);
}
unset($curl); // the last reference: this closes the connection

// A stream is closed on every path.
$stream = fopen($urls[0], 'r');
if ($stream !== false) {
    try {
        $body = stream_get_contents($stream);
    } finally {
        fclose($stream);
    }
}`

func fixRuby() Topic {
	return Topic{
		Name:    "fix ruby",
		Aliases: []string{"ruby"},
		Section: Fixes,
		Title:   "Ruby: Net::HTTP and plain sockets",
		Body: []Block{
			Para("What leaks: `Net::HTTP.start` or `TCPSocket.new` without a block, and no finish or close on some path. The object then waits for the garbage collector, which has no reason to hurry."),
			Code{Lang: "ruby", Text: rubyCure},
			Para("A pool that lives as long as the program (net-http-persistent, Faraday with it) needs an idle limit below the server's, and a shutdown at the end of each worker thread."),
		},
		See:  []string{"CLOSE-WAIT", "fix"},
		Refs: []string{"Ruby documentation: Net::HTTP.start, TCPSocket.open"},
	}
}

const rubyCure = `require 'net/http'
require 'socket'

# The block form closes, whatever happens inside.
limits = { open_timeout: 5, read_timeout: 10 }
Net::HTTP.start(uri.host, uri.port, limits) do |http|
  paths.each { |path| http.get(path) }
end

TCPSocket.open(uri.host, uri.port) do |socket|
  socket.setsockopt(Socket::SOL_SOCKET, Socket::SO_KEEPALIVE, true)
  socket.write("PING\r\n")
  socket.gets
end`
