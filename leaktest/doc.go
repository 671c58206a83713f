// Package leaktest fails tests that leave TCP connections open.
//
// One line does it:
//
//	func TestFetch(t *testing.T) {
//		leaktest.Check(t)
//		…
//	}
//
// When the test is over, each connection that was opened since, and is still
// open, fails it: above all those in CLOSE-WAIT, which the peer has closed and
// only this program can. The message names the line that opened the connection
// where that was done through http.DefaultTransport or a copy of it, package
// keepalive, [Dialer], or a transport given to [Watch]; else what the kernel and
// the goroutines that wait on it tell.
//
// Idle connections in the pool of http.DefaultTransport are no leak: Check
// closes them, as http.Client.CloseIdleConnections does, or leaves them out of
// account while other tests run. What remains belongs to a response whose body was
// not closed. Other transports are the test's own, and so is closing them.
//
// [Main] looks after a whole test binary.
//
// On Linux and macOS every descriptor of the process is looked at. Elsewhere only
// connections opened through the hooks are known, and the test's log says so.
//
// Importing the package puts a hook into http.DefaultTransport for good, which
// does nothing while no test is checked: putting it there and taking it away
// around each test would be a data race with requests of other goroutines. It wraps
// Proxy and DialContext, and takes the place that RegisterProtocol has for "http".
// What replaces one of them may take the names of lines away, and nothing else.
package leaktest
