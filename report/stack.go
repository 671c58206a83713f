package report

import (
	"strconv"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// appendFrame appends one call: "main.leak /src/app.go:12 (app)"; an address where
// there is no name, and a question mark behind what is likely.
func appendFrame(b []byte, f *tcpvet.Frame) []byte {
	if f.Symbol != "" {
		b = append(b, vet.Plain(f.Symbol)...)
	} else {
		b = strconv.AppendUint(append(b, "0x"...), f.Address, 16)
	}
	if f.Certainty == tcpvet.Likely {
		b = append(b, '?')
	}
	if f.File != "" {
		b = append(append(b, ' '), vet.Plain(f.File)...)
		if f.Line > 0 {
			b = strconv.AppendInt(append(b, ':'), int64(f.Line), 10)
		}
	}
	if f.Module != "" {
		b = append(append(b, " ("...), vet.Plain(f.Module)...)
		b = append(b, ')')
	}
	return b
}

// appendStack appends the calls of a stack, innermost first.
func appendStack(b []byte, stack []tcpvet.Frame, between string) []byte {
	for i := range stack {
		if i > 0 {
			b = append(b, between...)
		}
		b = appendFrame(b, &stack[i])
	}
	return b
}
