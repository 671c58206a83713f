package tcpvet

import (
	"os"
	"strings"
	"testing"
)

// The words are those of the contract, in its order, and nothing else is one.
func TestCauseWords(t *testing.T) {
	text, err := os.ReadFile("docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| cause |"); ok {
			words = strings.Fields(strings.NewReplacer("`", "", "|", "").Replace(rest))
		}
	}
	causes := Causes()
	if len(words) != len(causes) {
		t.Fatalf("docs/json.md lists %d causes, %q; the code has %d", len(words), words, len(causes))
	}
	for i, word := range words {
		if got := causes[i].String(); got != word {
			t.Errorf("cause %d is %q, the contract has %q", i, got, word)
		}
	}
	if got := Cause(200).String(); got != "unknown" {
		t.Errorf("a cause out of range is %q", got)
	}
}
