package jsonv1

import (
	"strconv"

	"github.com/tcpvet/tcpvet"
)

// Frame is one call on a stack.
type Frame struct {
	Symbol    *string `json:"symbol"`
	File      *string `json:"file"`
	Line      *int    `json:"line"`
	Module    *string `json:"module"`
	Address   uint64  `json:"address"` // in the module, in memory where there is none
	Certainty string  `json:"certainty"`
}

// FramesOf gives the shapes of a stack, innermost first; nil for one that is not
// known.
func FramesOf(stack []tcpvet.Frame) []Frame {
	if stack == nil {
		return nil
	}
	out := make([]Frame, 0, len(stack))
	for i := range stack {
		f := &stack[i]
		frame := Frame{Symbol: text(f.Symbol), File: text(f.File), Module: text(f.Module), Address: f.Address, Certainty: f.Certainty.String()}
		if f.Line > 0 {
			frame.Line = &f.Line
		}
		out = append(out, frame)
	}
	return out
}

// appendStack appends what encoding/json makes of FramesOf.
func appendStack(b []byte, stack []tcpvet.Frame) []byte {
	if stack == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range stack {
		f := &stack[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = optional(append(b, `{"symbol":`...), f.Symbol)
		b = optional(append(b, `,"file":`...), f.File)
		b = append(b, `,"line":`...)
		if f.Line > 0 {
			b = strconv.AppendInt(b, int64(f.Line), 10)
		} else {
			b = append(b, "null"...)
		}
		b = optional(append(b, `,"module":`...), f.Module)
		b = number(append(b, `,"address":`...), f.Address)
		b = append(b, `,"certainty":"`...)
		b = append(b, f.Certainty.String()...)
		b = append(b, `"}`...)
	}
	return append(b, ']')
}
