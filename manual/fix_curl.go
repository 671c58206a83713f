package manual

func fixCurl() Topic {
	return Topic{
		Name:    "fix curl",
		Aliases: []string{"curl", "fix libcurl", "libcurl"},
		Section: Fixes,
		Title:   "curl and libcurl: handles, and commands in a loop",
		Body: []Block{
			Para("The command closes all that it opened when it ends: it cannot leak. But a loop of commands opens a connection for each, and closes it first, so the TIME-WAITs are this side's: 28,232 ports in 60 s are 470 commands a second to one service. One command takes many URLs and uses its connection again:"),
			Code{Lang: "sh", Text: curlCommand},
			Para("It sets SO_KEEPALIVE with 60 s idle and 60 s between probes. `--keepalive-time` changes both, `--keepalive-cnt` (8.9 and later) the number of probes."),
			Heading("libcurl"),
			Para("What leaks: an easy handle that is never cleaned up. It keeps up to five idle connections, and looks at them only when it is used again, so what the server closes meanwhile stays in CLOSE-WAIT. One handle for each thread, or a multi handle, for the whole program; cleaned up on every path."),
			Code{Lang: "c", Text: curlHandle},
			List{
				"SO_KEEPALIVE is off unless CURLOPT_TCP_KEEPALIVE is set. TCP_NODELAY is on.",
				"CURLOPT_MAXAGE_CONN: an idle connection older than this is closed and not used again: 118 s by default, so set it below the server's limit. It is looked at when a connection is wanted, and not by a clock.",
				"A child process inherits the sockets: libcurl 7.88 of Debian 12 opens them without close-on-exec, so a connection that it closes stays open in a child that lives on.",
			},
		},
		See:  []string{"CLOSE-WAIT", "keepalive", "fix php"},
		Refs: []string{"curl(1), --keepalive-time, --keepalive-cnt", "CURLOPT_TCP_KEEPALIVE(3), CURLOPT_MAXAGE_CONN(3), CURLOPT_MAXCONNECTS(3)"},
	}
}

const (
	// curlCommand takes base from what surrounds it.
	curlCommand = `# one connection for three requests
curl --fail --silent --show-error --max-time 10 --keepalive-time 30 \
    "$base/a" "$base/b" "$base/c"`

	curlHandle = `#include <curl/curl.h>

static size_t discard(char *data, size_t size, size_t n, void *to)
{
	(void)data;
	(void)to;
	return size * n;
}

/* One handle for all requests of a thread. */
CURL *client(void)
{
	CURL *curl = curl_easy_init();
	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 30L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 10L);
	curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, 30L);
	return curl; /* curl_easy_cleanup() closes its connections */
}

int fetch(CURL *curl, const char *url)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	return curl_easy_perform(curl) == CURLE_OK ? 0 : -1;
}`
)
