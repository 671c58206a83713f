package netns

import (
	"context"
	"errors"
	"runtime"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// Do runs fn on a thread that is in the namespace, and gives fn's error. Where
// it could not be entered fn does not run and the error is an *EnterError.
//
// fn runs on another goroutine, locked to its thread; goroutines that it starts
// are not in the namespace. What it opens there (sockets, files of
// /proc/thread-self/net) stays usable anywhere. /proc/net and /proc/self/net
// are those of the main thread.
func (f Found) Do(fn func() error) error {
	return Each(context.Background(), []Found{f}, func(_ Found, err error) error {
		if err != nil {
			return err
		}
		return fn()
	})
}

// Each visits the namespaces one after the other on one thread, as Do does, so
// that a thousand cost a thousand setns calls and one thread. Where a namespace
// could not be entered, visit gets an *EnterError, and the thread is in another
// namespace. An error of visit ends the round and is returned, as is that of
// ctx, which is looked at between namespaces.
//
// The namespace that the thread begins in, that of the process, is visited
// without setns, which needs CAP_SYS_ADMIN.
func Each(ctx context.Context, found []Found, visit func(f Found, err error) error) error {
	return onThread(func() (changed bool, err error) {
		current, err := Self()
		if err != nil {
			return false, err
		}
		for _, f := range found {
			if err := ctx.Err(); err != nil {
				return changed, err
			}
			var entry error
			if f.ID != current {
				if err := enter(f); err != nil {
					entry = &EnterError{ID: f.ID, Err: err}
				} else {
					current, changed = f.ID, true
				}
			}
			if err := visit(f, entry); err != nil {
				return changed, err
			}
		}
		return changed, nil
	})
}

// onThread runs fn on a locked thread that is not the main one: the runtime
// cannot end that, and its namespace is what all see as /proc/self/net. A
// thread that fn changed ends with its goroutine and never runs others.
func onThread(fn func() (changed bool, err error)) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			result <- onThread(fn) // this goroutine keeps the main thread meanwhile
			return
		}
		changed, err := true, errors.New("run in network namespace: the function ended its goroutine")
		defer func() {
			if !changed {
				runtime.UnlockOSThread()
			}
			result <- err
		}()
		changed, err = fn()
	}()
	return <-result
}

// enter moves the calling thread into the namespace, by the first way that
// still leads there.
func enter(f Found) error {
	err := error(unix.ENOENT)
	for _, path := range f.paths {
		e := enterPath(path, f.ID)
		if e == nil {
			return nil
		}
		// That one may not enter tells more than that a process has ended.
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			err = e
		}
	}
	return classify(err)
}

func enterPath(path string, id tcpvet.NetnsID) error {
	fd, err := openNsfs(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	got, err := ofDescriptor(fd)
	if err != nil {
		return err
	}
	if got != id {
		return unix.ENOENT // the PID or the name stands for another one by now
	}
	return unix.Setns(fd, unix.CLONE_NEWNET)
}
