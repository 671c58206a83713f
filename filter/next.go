package filter

import (
	"errors"
	"strings"
)

// Next gives the words that may follow the arguments of a command, for a shell to
// complete: those of the language alone, so that it is empty where an address or a
// number has to come, and where the arguments cannot be read.
func Next(args []string) []string {
	text := strings.Join(args, " ")
	_, err := sockets.parse(text)
	e, _ := errors.AsType[*SyntaxError](err)
	expected := sockets.after
	switch {
	case next(text, 0).kind == end:
		expected = sockets.before
	case e != nil && e.Got != "":
		return nil
	case e != nil:
		expected = e.Expected
	}
	var words []string
	for _, x := range expected {
		if !strings.ContainsAny(x, ` "=<>!`) { // a description, or a sign
			words = append(words, x)
		}
	}
	return words
}
