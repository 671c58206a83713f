// Package server measures how long an HTTP server keeps idle connections, how it ends
// them and how many requests it answers on one: over HTTP/1.1, HTTP/2 and TLS, with
// connections of its own. Package probe judges what it finds.
package server
