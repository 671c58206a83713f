package filter

// near gives the word of the list that s is most like, "" where it is like
// none: a short word may differ by one letter put in, left out, changed or
// swapped with its neighbour, a longer one by two.
func near(s string, list []string) string {
	if len(s) > longestWord {
		return ""
	}
	s = lower(s)
	best, most := "", 1
	if len(s) > 4 {
		most = 2
	}
	for _, w := range list {
		if d := distance(s, w); d <= most && d < len(w) {
			best, most = w, d-1
		}
	}
	return best
}

// distance counts the edits between a and b (optimal string alignment).
func distance(a, b string) int {
	if len(b) > longestWord {
		return longestWord
	}
	var rows [3][longestWord + 1]int
	two, one, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := one[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(one[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
