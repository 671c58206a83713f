package leaktest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// waiting finds the goroutines that wait on each descriptor. The trace of a
// goroutine names the pollDesc that it waits on, and the kernel tells which
// descriptor was registered with it (fdinfo of an epoll descriptor, proc(5)).
func waiting() (by map[int][]goroutine, all []goroutine) {
	all = everyone()
	by = map[int][]goroutine{}
	polled := polls()
	for _, g := range all {
		if g.desc == 0 {
			continue
		}
		for _, p := range polled {
			if carries(p.data, g.desc) {
				by[p.fd] = append(by[p.fd], g)
			}
		}
	}
	return by, all
}

// poll is a descriptor that an epoll descriptor of this process looks after.
type poll struct {
	fd   int
	data uint64
}

func polls() []poll {
	links, _ := filepath.Glob("/proc/self/fd/*")
	var all []poll
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != "anon_inode:[eventpoll]" {
			continue
		}
		text, err := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(link))
		if err == nil {
			all = append(all, parsePolls(text)...)
		}
	}
	return all
}

// parsePolls reads lines "tfd: 7 events: 80002019 data: 7f35c8a4b80001 pos:0 …".
func parsePolls(text []byte) []poll {
	var all []poll
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) < 6 || words[0] != "tfd:" || words[4] != "data:" {
			continue
		}
		fd, err1 := strconv.Atoi(words[1])
		data, err2 := strconv.ParseUint(words[5], 16, 64)
		if err1 == nil && err2 == nil {
			all = append(all, poll{fd, data})
		}
	}
	return all
}

// carries tells whether the runtime packed the pointer into data: shifted to the
// top, a tag in the bits that this and its alignment leave (runtime/tagptr_64bit.go).
// A runtime that packs otherwise matches nothing, and no goroutine is named.
func carries(data, pointer uint64) bool {
	packings := [...]struct{ shift, align uint }{
		{15, 9}, // since Go 1.25
		{16, 3},
	}
	for _, p := range packings {
		if pointer%(1<<p.align) == 0 && data>>(p.shift+p.align) == pointer<<p.shift>>(p.shift+p.align) {
			return true
		}
	}
	return false
}
