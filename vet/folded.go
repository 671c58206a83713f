package vet

import "github.com/tcpvet/tcpvet"

// AtLeast writes a count that may be too small by lost, Census.GroupError or
// Census.TupleError: "27,352", or "at least 27,352" where something was folded.
func AtLeast[N Integer](lost uint64, n N) string { return Bound(lost, "at least ") + Count(n) }

// AtLeastCounted is AtLeast with a noun: "at least 12 sockets".
func AtLeastCounted[N Integer](lost uint64, n N, noun string) string {
	return Bound(lost, "at least ") + Counted(n, noun)
}

// Bound gives the words where lost is more than 0: what is left of a total from
// which too little may have been taken is "at most " what it seems.
func Bound(lost uint64, words string) string {
	if lost == 0 {
		return ""
	}
	return words
}

// MayLack gives the number that says by how many a finding's other counts of that
// unit may each be too small, none where nothing was folded.
func MayLack(lost uint64, unit string) []tcpvet.Number {
	if lost == 0 {
		return nil
	}
	return []tcpvet.Number{{Name: "may_lack_" + unit, Value: float64(lost)}}
}
