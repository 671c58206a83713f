// Package tcpvet is the vocabulary of tcpvet: the nouns that its sources
// produce, its rules judge and its reports print.
//
// It holds values only. Nothing in it reads a machine, waits or remembers.
package tcpvet

//go:generate go run ./docs/generate
