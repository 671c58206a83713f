package bpfiter_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"churn":      churn,
		"hold":       hold,
		"leaderless": leaderless,
		"least":      least,
		"inside":     inside,
		"twins":      twins,
	})
}

// need is what every test that loads a program needs.
func need(t *testing.T) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFIterators)
	kerneltest.Need(t, kernel.BPFMaps)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
