package filter

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse([]string{text})
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("%T is not a *SyntaxError: %v", err, err)
			}
			if e.Column < 1 || e.Column > utf8.RuneCountInString(text)+1 {
				t.Errorf("column %d of %d characters", e.Column, utf8.RuneCountInString(text))
			}
			if message := e.Error(); strings.Count(message, "\n") != 2 || len(message) > 4000 {
				t.Errorf("a message of %d bytes: %.300q", len(message), message)
			}
			return
		}
		again, err := Parse([]string{parsed.String()})
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, parsed, err)
		}
		if again.String() != parsed.String() {
			t.Errorf("%q is written as %q, then as %q", text, parsed, again)
		}
		if !bytes.Equal(again.Bytecode(), parsed.Bytecode()) || again.States() != parsed.States() {
			t.Errorf("%q: program %x, states %b; once written %x, %b",
				text, parsed.Bytecode(), parsed.States(), again.Bytecode(), again.States())
		}
		if program := machine(parsed.Bytecode()); program != nil {
			if err := program.audit(); err != nil {
				t.Errorf("%q: %v in %x", text, err, program)
			}
		}
		for _, state := range tcpvet.States {
			for _, s := range []tcpvet.Socket{leak(), {}} {
				s.State = state
				if parsed.Expr().Judge(&s) != again.Expr().Judge(&s) {
					t.Errorf("%q and %q do not judge %+v alike", text, parsed, s)
				}
				if parsed.Match(&s) && !parsed.States().Has(state) {
					t.Errorf("%q matches %v, its States are %b", text, state, parsed.States())
				}
			}
		}
	})
}
