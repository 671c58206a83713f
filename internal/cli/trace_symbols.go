package cli

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/trace"
	"github.com/tcpvet/tcpvet/trace/symbol"
)

// symbols names the calls on stacks.
type symbols struct{ *symbol.Resolver }

func newSymbols() symbols { return symbols{symbol.New(symbol.Options{})} }

// frames gives the calls of a stack that the kernel kept.
func (s symbols) frames(p tcpvet.Process, k *trace.Stack) []tcpvet.Frame {
	python := make([]symbol.PythonCall, 0, len(k.Python))
	for _, call := range k.Python {
		python = append(python, symbol.PythonCall(call))
	}
	return s.Frames(p, symbol.Stack{Addresses: k.Addresses, Words: k.Words, Python: python})
}
