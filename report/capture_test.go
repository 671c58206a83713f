package report

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

const captures = "../capture/testdata"

// recordings names the files of captures with that ending, of which there are
// so many at least.
func recordings(t testing.TB, ending string, number int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(captures, "*"+ending))
	if err != nil || len(files) < number {
		t.Fatalf("%d files %s in %s, of %d; %v", len(files), ending, captures, number, err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// follow reads a recording and gives its conversations, by number. packet may
// be nil; its segment is good until it returns.
func follow(t testing.TB, b []byte, name string, packet func(r *recording.Reader, s *capture.Segment, step capture.Step)) []*tcpvet.Conversation {
	t.Helper()
	r, err := recording.Open(bytes.NewReader(b), recording.Options{Checksums: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s capture.Segment
	var conversations []*tcpvet.Conversation
	var tracker *capture.Tracker
	for {
		err := r.Next(&s)
		if tracker == nil {
			tracker = capture.NewTracker(capture.TrackerOptions{Dated: r.Dated(), File: name}, func(c *tcpvet.Conversation) error {
				conversations = append(conversations, c)
				return nil
			})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		step, err := tracker.Add(&s)
		if err != nil {
			t.Fatal(err)
		}
		if packet != nil {
			packet(r, &s, step)
		}
	}
	if err := tracker.Finish(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(conversations, func(a, b *tcpvet.Conversation) int { return a.Number - b.Number })
	return conversations
}

// recorded gives a file of captures.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(captures, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
