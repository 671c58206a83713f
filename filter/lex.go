package filter

import "unicode/utf8"

// kind is what a token is.
type kind uint8

const (
	end kind = iota
	word
	sign // a comparison
	open
	shut
	and
	or
	not
)

// token is a piece of the text; at is its first byte.
type token struct {
	kind kind
	text string
	at   int
}

// joiners are the words that stand for a sign.
var joiners = map[string]kind{"and": and, "or": or, "not": not}

// next gives the token that begins at or after byte i of the text.
func next(text string, i int) token {
	for i < len(text) && space(text[i]) {
		i++
	}
	if i == len(text) {
		return token{kind: end, at: i}
	}
	k, n := symbol(text[i:])
	if k == word {
		for n < len(text)-i && !space(text[i+n]) {
			if other, _ := symbol(text[i+n:]); other != word {
				break
			}
			n++
		}
		if j, ok := joiners[lower(text[i:i+n])]; ok {
			k = j
		}
	}
	return token{k, text[i : i+n], i}
}

// symbol tells what s begins with and how long that is; a word counts as one
// byte.
func symbol(s string) (kind, int) {
	double := len(s) > 1 && s[1] == s[0]
	equals := len(s) > 1 && s[1] == '='
	switch s[0] {
	case '(':
		return open, 1
	case ')':
		return shut, 1
	case '&':
		return and, length(double)
	case '|':
		return or, length(double)
	case '=', '<', '>':
		return sign, length(equals)
	case '!':
		if equals {
			return sign, 2
		}
		return not, 1
	}
	return word, 1
}

func length(two bool) int {
	if two {
		return 2
	}
	return 1
}

func space(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// lower folds the ASCII letters of a word; it leaves words alone that are
// longer than any of the language.
func lower(s string) string {
	if len(s) > longestWord {
		return s
	}
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for j := range b {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// longestWord bounds the words that are folded or compared for likeness.
const longestWord = 32

// column counts characters, from 1, up to byte i of the text.
func column(text string, i int) int { return utf8.RuneCountInString(text[:i]) + 1 }
