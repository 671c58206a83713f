// Package capture follows TCP connections through their segments: how each
// opened and closed, which end was first, and what is wrong with it.
//
// A reader of packets (package recording for files, package live for an
// interface) fills a Segment again and again; a Tracker follows both ends of
// every conversation (RFC 9293 section 3.3.2) and tells each when it is over.
package capture
