package trace

import (
	"slices"

	"github.com/tcpvet/tcpvet"
)

// openers gives the stacks of what opened connections.
type openers struct {
	*Stacks
	read   Frames // nil for addresses alone
	frames map[StackID][]tcpvet.Frame
}

func openOpeners(o Options) (*openers, error) {
	s, err := OpenStacks(StacksOptions{Netns: o.Netns, Connections: o.Connections, Python: o.Python})
	if err != nil {
		return nil, err
	}
	return &openers{Stacks: s, read: o.Frames, frames: make(map[StackID][]tcpvet.Frame)}, nil
}

// of gives the stack of what opened a socket, innermost first, nil where it is not
// known.
func (o *openers) of(cookie uint64) ([]tcpvet.Frame, error) {
	if cookie == 0 {
		return nil, nil
	}
	opening, ok, err := o.Opening(cookie)
	if err != nil || !ok || opening.Stack == 0 {
		return nil, err
	}
	frames, known := o.frames[opening.Stack]
	if known {
		return frames, nil
	}
	stack, ok, err := o.Stack(opening.Stack)
	if err != nil || !ok {
		return nil, err
	}
	frames = o.readable(opening.Process, &stack)
	if len(o.frames) >= mostRemembered {
		clear(o.frames)
	}
	if o.read == nil || isRead(frames) {
		o.frames[opening.Stack] = frames
	}
	return frames, nil
}

// isRead tells that something is known of each frame. Of others more may be known
// later, as of a process that has just begun.
func isRead(frames []tcpvet.Frame) bool {
	return !slices.ContainsFunc(frames, func(f tcpvet.Frame) bool { return f.Module == "" && f.Symbol == "" })
}

func (o *openers) readable(p tcpvet.Process, k *Stack) []tcpvet.Frame {
	if o.read != nil {
		return o.alone(o.read)(p, k)
	}
	frames := make([]tcpvet.Frame, len(k.Addresses))
	for i, a := range k.Addresses {
		frames[i].Address = a
	}
	return frames
}
