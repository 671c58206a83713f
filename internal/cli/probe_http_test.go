package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// impatient is a server that ends idle connections after so long.
func impatient(t *testing.T, idle time.Duration, begun chan struct{}) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case begun <- struct{}{}:
		default:
		}
		_, _ = w.Write([]byte("ok\n"))
	}))
	s.Config.IdleTimeout = idle
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// The status says whether it was measured, and whether the client fits.
func TestProbeHTTPStatus(t *testing.T) {
	patient, hasty := impatient(t, time.Minute, nil), impatient(t, 2*time.Second, nil)
	for _, test := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"measured", []string{hasty}, 0, "KEPT "},
		{"fits", []string{hasty, "--client-idle", "100ms"}, 0, "fits."},
		{"does not fit", []string{hasty, "--client-idle", "4s"}, 1, "TOO LONG"},
		{"beyond what is looked at", []string{patient, "--most", "300ms"}, 0, "KEPT ALL THE TIME"},
		{"fits, beyond what is looked at", []string{patient, "--most", "1s", "--client-idle", "100ms"}, 0, "fits."},
		{"cannot be told", []string{patient, "--most", "400ms", "--client-idle", "390ms"}, 3, "cannot be told"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			got := Main(t.Context(), IO{Out: &out, Err: &errs}, append([]string{"probe", "http", "--requests", "3", "--most", "20s"}, test.args...))
			if got != test.want || !strings.Contains(out.String(), test.says) || errs.Len() > 0 {
				t.Errorf("status %d, want %d and %q\n%s%s", got, test.want, test.says, out.String(), errs.String())
			}
		})
	}
}

// Ctrl-C ends it, and what was measured by then is told, as a document too.
func TestProbeHTTPInterrupted(t *testing.T) {
	begun := make(chan struct{}, 100)
	target := impatient(t, time.Minute, begun)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		// Each of 14 connections makes a request; with one more some is asked again.
		for range 15 {
			<-begun
		}
		stop()
	}()
	var out, errs bytes.Buffer
	got := Main(ctx, IO{Out: &out, Err: &errs}, []string{"probe", "http", target, "--requests", "0", "--client-idle", "600ms", "-o", "json"})
	var document struct {
		Kind        string
		Interrupted bool
		Text        []string
	}
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	if got != 3 || document.Kind != "http" || !document.Interrupted || len(document.Text) == 0 || errs.String() != "tcpvet: interrupted\n" {
		t.Errorf("status %d, %+v\n%s", got, document, errs.String())
	}
}
