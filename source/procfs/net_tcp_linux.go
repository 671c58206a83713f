package procfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tcpvet/tcpvet"
)

// Sockets calls yield for each TCP socket of the calling thread's network
// namespace that is in one of the states (0 for all): first the listeners of
// both families, then the others. Lock the thread if it has entered another
// namespace. Netns stays 0: the caller knows which one it is. The Socket is
// used again for the next one.
//
// It reads thread-self/net, since /proc/net follows the main thread, wherever
// this one is. Where IPv6 is absent there is nothing to read of it. An error of
// yield or of ctx is returned as it is.
func (fs FS) Sockets(ctx context.Context, states tcpvet.StateSet, yield func(*tcpvet.Socket) error) error {
	if states == 0 {
		states = tcpvet.AllStates
	}
	onlyListeners := states&^tcpvet.SetOf(tcpvet.Listen) == 0
	var files []*netTCP
	for _, name := range []string{"tcp", "tcp6"} {
		path := filepath.Join(fs.root(), "thread-self/net", name)
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) && name == "tcp6" {
			continue
		}
		if err != nil {
			return fmt.Errorf("read sockets: %w", err)
		}
		defer f.Close()
		files = append(files, newNetTCP(&reader{ctx, f}))
	}
	report := func(f *netTCP) error {
		if f.err != nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fmt.Errorf("read sockets: %w", f.err)
		}
		return nil
	}
	var rest []*netTCP // with a first socket that is no listener
	for _, f := range files {
		for more := f.next(); more; more = f.next() {
			if f.sock.State != tcpvet.Listen {
				rest = append(rest, f)
				break
			}
			if states.Has(tcpvet.Listen) {
				if err := yield(&f.sock); err != nil {
					return err
				}
			}
		}
		if err := report(f); err != nil {
			return err
		}
	}
	if onlyListeners {
		return nil
	}
	for _, f := range rest {
		for more := true; more; more = f.next() {
			if states.Has(f.sock.State) {
				if err := yield(&f.sock); err != nil {
					return err
				}
			}
		}
		if err := report(f); err != nil {
			return err
		}
	}
	return nil
}

// reader stops reading when its context is done.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
