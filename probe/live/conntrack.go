package live

import (
	"slices"
	"strconv"
	"strings"
)

// insertFailed sums insert_failed over the processors, of the text of
// /proc/net/stat/nf_conntrack: a heading, then hexadecimal lines. It is 0 where
// there is none.
func insertFailed(text string) (sum uint64) {
	head, rows, _ := strings.Cut(text, "\n")
	at := slices.Index(strings.Fields(head), "insert_failed")
	if at < 0 {
		return 0
	}
	for line := range strings.Lines(rows) {
		if fields := strings.Fields(line); at < len(fields) {
			n, err := strconv.ParseUint(fields[at], 16, 64)
			if err == nil {
				sum += n
			}
		}
	}
	return sum
}
