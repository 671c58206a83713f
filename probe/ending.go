package probe

import "fmt"

// Ending is how a connection ended that was left idle.
type Ending uint8

// The endings.
const (
	StillOpen     Ending = iota // nothing ended it
	ByFIN                       // FIN, in order
	ByRST                       // RST
	ByCloseNotify               // TLS was closed in order (close_notify, RFC 8446, section 6.1), and then TCP
	ByGoAway                    // GOAWAY of HTTP/2 (RFC 9113, section 6.8), and then TCP
	ByAnswer                    // an answer that nobody had asked for, as 408 is (RFC 9110, section 15.5.9)
	ByBytes                     // bytes that are no answer
	BySilence                   // nothing came, and a request was not answered any more
)

var endings = [...]struct{ word, text string }{
	StillOpen: {"", "not at all"}, ByFIN: {"fin", "FIN"}, ByRST: {"rst", "RST"},
	ByCloseNotify: {"close-notify", "close_notify of TLS, then FIN"}, ByGoAway: {"goaway", "GOAWAY of HTTP/2, then FIN"},
	ByAnswer: {"answer", "an answer that nobody asked for"}, ByBytes: {"bytes", "bytes that are no answer"}, BySilence: {"silence", "silence"},
}

// Word gives the word of docs/json.md: "fin", "close-notify"; "" for StillOpen.
func (e Ending) Word() string { return endings[min(int(e), len(endings)-1)].word }

// String says how it was ended, behind "by".
func (e Ending) String() string { return endings[min(int(e), len(endings)-1)].text }

// endingText is String with the status of an answer that nobody asked for.
func endingText(e Ending, status int) string {
	if e == ByAnswer && status != 0 {
		return fmt.Sprintf("%s (status %d)", e, status)
	}
	return e.String()
}
