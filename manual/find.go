package manual

import (
	"cmp"
	"slices"
	"strings"
)

// longestQuery bounds what Find reads, in bytes: a log line is shorter.
const longestQuery = 4096

// Find looks a topic up by its name or alias in any spelling: letter case,
// hyphens, underscores, dots, spaces and quotes do not matter. A pasted
// message finds the error, state or setting that it names, if it names just
// one. Otherwise ok is false and near holds the names that look most like the
// query, best first, at most five.
func (b *Book) Find(query string) (t Topic, near []string, ok bool) {
	query = strings.TrimSpace(query[:min(len(query), longestQuery)])
	key := fold(query)
	if i, ok := b.index[key]; ok {
		return b.topics[i], nil, true
	}
	for _, kind := range [...]string{"rule ", "state ", "sysctl ", "setting ", "topic "} {
		if rest, cut := cutPrefixFold(query, kind); cut {
			if i, ok := b.index[fold(rest)]; ok {
				return b.topics[i], nil, true
			}
		}
	}
	if i, ok := b.inMessage(query, key); ok {
		return b.topics[i], nil, true
	}
	return Topic{}, b.near(key), false
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// fold drops what spellings differ in.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r > 127:
			return r
		}
		return -1
	}, s)
}

// leastMessage is the length, folded, from which the words of an alias are
// sought inside a longer text; shorter ones would turn up by chance.
const leastMessage = 9

// inMessage finds what a pasted line is about.
func (b *Book) inMessage(query, key string) (topic int, ok bool) {
	if i, ok := b.onlyOne(errnoWords(query), Errnos); ok {
		return i, true
	}
	best, length := -1, 0
	for alias, i := range b.index {
		if b.topics[i].Section != Errnos || len(alias) < leastMessage || len(alias) < length || !strings.Contains(key, alias) {
			continue
		}
		if len(alias) == length && i != best {
			return 0, false // two messages, equally good
		}
		best, length = i, len(alias)
	}
	if best >= 0 {
		return best, true
	}
	return b.onlyOne(strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune(" \t\n,;:=()[]\"'", r) }), States, Settings, Rules)
}

// errnoWords gives what in the text can name an error: words of the form
// ECONNRESET, and the number behind "errno" or "os error".
func errnoWords(text string) []string {
	tokens := strings.FieldsFunc(text, func(r rune) bool {
		return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9')
	})
	var words []string
	for i, t := range tokens {
		if len(t) > 3 && t[0] == 'E' && strings.ToUpper(t) == t {
			words = append(words, t)
		}
		if i > 0 && (strings.EqualFold(tokens[i-1], "errno") || strings.EqualFold(tokens[i-1], "error")) {
			words = append(words, "errno "+t)
		}
	}
	return words
}

// onlyOne gives the topic of the sections that the names agree on.
func (b *Book) onlyOne(names []string, in ...Section) (topic int, ok bool) {
	topic = -1
	for _, name := range names {
		i, found := b.index[fold(name)]
		if !found || len(name) < 4 || !slices.Contains(in, b.topics[i].Section) {
			continue
		}
		if topic >= 0 && i != topic {
			return 0, false
		}
		topic = i
	}
	return topic, topic >= 0
}

// nearest is how many names Find offers, longestNear the length in bytes,
// folded, beyond which nothing is like a name any more.
const (
	nearest     = 5
	longestNear = 48
)

func (b *Book) near(key string) []string {
	if key == "" || len(key) > longestNear {
		return nil
	}
	best := make(map[int]int) // topic to distance
	for alias, i := range b.index {
		d := distance(key, alias)
		if len(key) >= 3 && (strings.Contains(alias, key) || len(alias) >= 5 && strings.Contains(key, alias)) {
			d = min(d, 1)
		}
		// Up to a third of the letters may differ.
		if d > max(1, min(len(key), len(alias))/3) {
			continue
		}
		if old, ok := best[i]; !ok || d < old {
			best[i] = d
		}
	}
	topics := make([]int, 0, len(best))
	for i := range best {
		topics = append(topics, i)
	}
	slices.SortFunc(topics, func(x, y int) int { return cmp.Or(best[x]-best[y], x-y) })
	names := make([]string, 0, nearest)
	for _, i := range topics[:min(len(topics), nearest)] {
		names = append(names, b.topics[i].Name)
	}
	return names
}

// distance is the least number of letters to insert, drop, change or swap
// with their neighbour that turns a into b.
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			now[j] = min(change, last[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
