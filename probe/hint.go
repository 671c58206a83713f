package probe

import (
	"strconv"
	"strings"
	"time"
)

// Hint is what a server announces in a Keep-Alive header (RFC 2068, section 19.7.1;
// draft-thomson-hybi-http-timeout): after which idle time it may end the
// connection, and after how many requests.
type Hint struct {
	Text    string // the header, "" for none
	Timeout time.Duration
	Max     int // requests that are allowed: Apache means after this one, Node in all

	HasTimeout, HasMax bool
}

// The largest values that are taken for meant.
const (
	mostHintTimeout = 365 * 24 * time.Hour
	mostHintMax     = 1 << 31
)

// ParseHint reads a Keep-Alive header. Parameters that it does not know, and values
// that are no numbers, it passes over; of one that comes twice the first counts.
func ParseHint(header string) Hint {
	h := Hint{Text: header}
	for part := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 63)
		if err != nil {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "timeout":
			if !h.HasTimeout && n <= uint64(mostHintTimeout/time.Second) {
				h.Timeout, h.HasTimeout = time.Duration(n)*time.Second, true
			}
		case "max":
			if !h.HasMax && n <= mostHintMax {
				h.Max, h.HasMax = int(n), true
			}
		}
	}
	return h
}
