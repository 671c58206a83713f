package scenarios

// crawlerProgram has both ways to fetch a page. An exception keeps the frames that
// it came through, and with them their variables.
const crawlerProgram = `
import contextlib
import http.client

failed = []  # to report them when all is done


class Missing(Exception):
    pass


def fetch(host, path, ports):
    connection = http.client.HTTPConnection(host)
    connection.request("GET", path)
    ports.append(connection.sock.getsockname()[1])
    response = connection.getresponse()
    if response.status != 200:
        raise Missing(path)
    page = response.read()
    connection.close()
    return page


def fetch_and_release(host, path, ports):
    with contextlib.closing(http.client.HTTPConnection(host)) as connection:
        connection.request("GET", path)
        ports.append(connection.sock.getsockname()[1])
        with connection.getresponse() as response:
            if response.status != 200:
                raise Missing(path)
            return response.read()


@cue
def crawl(order):
    how = fetch_and_release if order["Release"] else fetch
    got, ports = 0, []
    for path in order["Paths"]:
        try:
            how(order["Host"], path, ports)
            got += 1
        except Missing as e:
            failed.append(e)
    return {"Got": got, "Failed": len(failed), "Port": ports[-1]}


@cue
def forget(order):
    failed.clear()
`

type crawlOrder struct {
	Host    string
	Paths   []string
	Release bool // close the connection whatever comes
}

type crawled struct {
	Got    int
	Failed int // in all, and kept
	Port   int // the local port of the last connection
}
