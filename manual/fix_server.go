package manual

func fixNginx() Topic {
	return Topic{
		Name:    "fix nginx",
		Aliases: []string{"nginx", "reverse proxy", "proxy"},
		Section: Fixes,
		Title:   "nginx as a proxy: connections to the upstream",
		Body: []Block{
			Para("As a proxy nginx is a client too. Without `keepalive` in the upstream block it opens a connection for each request. Those that nginx closes first leave a TIME-WAIT here, and under load the ports to that upstream run out: EADDRNOTAVAIL in the error log."),
			Code{Lang: "nginx", Text: nginxCure},
			List{
				"`keepalive` is the number of idle connections that each worker keeps. It is no upper bound of open ones.",
				"The two lines with HTTP/1.1 and the empty Connection header are needed: without them nginx 1.22 of Debian 12 speaks HTTP/1.0 to the upstream and asks it to close.",
				"`keepalive_timeout` in the upstream block must be below the idle limit of the upstream server, or requests race its close.",
				"`so_keepalive` is TCP keepalive toward clients: idle, interval and probes. `proxy_socket_keepalive` is toward the upstream, with the kernel's times (net.ipv4.tcp_keepalive_time). Both are off by default.",
				"Toward clients `keepalive_timeout` in the http or server block is the idle limit, 75 s by default, and `keepalive_requests` the number of requests, 1,000. Whatever stands before nginx, a balancer above all, must give its connections up earlier: `tcpvet probe http URL` measures what nginx really does.",
				"More than one `server` address in the upstream, or `proxy_bind` over several addresses, multiplies the ports.",
			},
			Para("CLOSE-WAIT in nginx itself is rare. Look for a worker that is stuck, on a slow disk or in a module."),
		},
		See:  []string{"ports", "keepalive", "TIME-WAIT"},
		Refs: []string{"nginx documentation: ngx_http_upstream_module, keepalive", "nginx documentation: ngx_http_core_module, listen"},
	}
}

// nginxCure stands in the http block.
const nginxCure = `upstream app {
    server 10.0.3.7:8080;
    keepalive 32;
    keepalive_timeout 30s;
}

server {
    listen 8081 so_keepalive=30s:10s:3;
    keepalive_timeout 75s;

    location / {
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_socket_keepalive on;
    }
}`

func fixApache() Topic {
	return Topic{
		Name:    "fix apache",
		Aliases: []string{"apache", "httpd", "fix httpd", "apache2"},
		Section: Fixes,
		Title:   "Apache httpd: idle limits, and connections to a backend",
		Body: []Block{
			Para("Apache closes a connection on which no request came for `KeepAliveTimeout`: 5 s by default. A client, or a balancer, that keeps connections longer meets the close: its pool fills with CLOSE-WAIT, or a request races the FIN and is lost. Let the client give up first, or set the limit above the client's. With the event MPM an idle connection holds no thread, so a longer limit costs little; with prefork it holds a process."),
			Code{Lang: "apache", Text: apacheCure},
			List{
				"`KeepAliveTimeout` must be above the idle limit of what stands before it: 60 s in many balancers.",
				"`MaxKeepAliveRequests` closes after so many requests, 100 by default (2.4 answers one more): behind a balancer each close costs a new connection, and where Apache closes first a TIME-WAIT here. 0 is no limit.",
				"Apache sets SO_KEEPALIVE for its clients by itself, with the kernel's times: two hours (net.ipv4.tcp_keepalive_time).",
				"As a proxy it is a client too. `keepalive=On` sets SO_KEEPALIVE toward the backend, again with the kernel's times.",
				"`ttl` is for how many seconds an idle connection to the backend may be used again. It must be below the backend's idle limit. Apache looks at it when it needs a connection and not by a clock: until then one that the backend closed stays in CLOSE-WAIT. With prefork `ttl` does nothing.",
				"`SetEnv proxy-initial-not-pooled 1` opens a connection for the first request of each client: fewer lost races, many more ports.",
			},
		},
		See:  []string{"keepalive", "TIME-WAIT", "fix nginx"},
		Refs: []string{"Apache httpd 2.4: core, KeepAliveTimeout and MaxKeepAliveRequests", "Apache httpd 2.4: mod_proxy, ProxyPass", "Apache httpd 2.4: mod_proxy_http, proxy-initial-not-pooled", "Apache httpd, bug 54976: ttl and prefork"},
	}
}

// apacheCure stands in the configuration of the server.
const apacheCure = `KeepAlive On
KeepAliveTimeout 65
MaxKeepAliveRequests 1000

ProxyPass "/app/" "http://10.0.3.7:8080/" keepalive=On ttl=30`
