package leaktest

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// goroutine is what a trace of package runtime tells of one.
type goroutine struct {
	id      uint64
	frames  []runtime.Frame // innermost first: function, file, line
	creator string          // the function whose go statement began it; "" for main
	parent  uint64          // in which goroutine that was
	desc    uint64          // what it waits on: the address of the runtime's pollDesc, 0 for nothing

	// Of net/http's own, the address of its connection (persistConn), 0 of others.
	reads, asks uint64 // for the responses; it has sent a request and awaits one
}

// httpDials begins the name of what starts net/http's dialling goroutines, in the
// goroutine of the request.
const httpDials = "net/http.(*Transport)."

// The goroutines of an http.Transport's connections.
const (
	readLoop  = "net/http.(*persistConn).readLoop"
	roundTrip = "net/http.(*persistConn).roundTrip"
)

// traces keeps the room for a trace of all goroutines, from look to look.
var traces struct {
	sync.Mutex
	room []byte
}

// everyone tells of all goroutines.
func everyone() []goroutine {
	traces.Lock()
	defer traces.Unlock()
	var text []byte
	text, traces.room = trace(traces.room, true)
	return parseGoroutines(text)
}

// trace writes the stacks of this goroutine, or of all, to buf, or to a longer one where
// that is short.
func trace(buf []byte, all bool) (text, longer []byte) {
	// A process with a million goroutines is told in part.
	const least, most = 1 << 14, 1 << 28
	if len(buf) == 0 {
		buf = make([]byte, least)
	}
	for {
		if n := runtime.Stack(buf, all); n < len(buf) || len(buf) >= most {
			return buf[:n], buf
		}
		buf = make([]byte, 4*len(buf))
	}
}

// current gives the number of this goroutine; 0 where the runtime's words are not
// understood.
func current() uint64 {
	var buf [64]byte
	id, _ := headed(string(buf[:runtime.Stack(buf[:], false)]))
	return id
}

// here tells of this goroutine.
func here() goroutine {
	text, _ := trace(nil, false)
	if all := parseGoroutines(text); len(all) == 1 {
		return all[0]
	}
	return goroutine{}
}

// parseGoroutines reads a trace of package runtime. What it does not understand it
// leaves out.
func parseGoroutines(text []byte) []goroutine {
	var all []goroutine
	var g *goroutine
	for line := range strings.Lines(string(text)) {
		line := strings.TrimRight(line, "\r\n")
		if id, ok := headed(line); ok {
			all = append(all, goroutine{id: id})
			g = &all[len(all)-1]
			continue
		}
		if strings.HasPrefix(line, "[originating from goroutine ") {
			g = nil // GODEBUG=tracebackancestors: calls and creators of others follow
		}
		if g == nil || line == "" {
			continue
		}
		if where, ok := strings.CutPrefix(line, "\t"); ok {
			if n := len(g.frames); n > 0 && g.creator == "" && g.frames[n-1].File == "" {
				g.frames[n-1].File, g.frames[n-1].Line = place(where)
			}
			continue
		}
		if by, ok := strings.CutPrefix(line, "created by "); ok {
			name, parent, _ := strings.Cut(by, " in goroutine ")
			g.creator = name
			g.parent, _ = strconv.ParseUint(parent, 10, 64)
			continue
		}
		// Methods have parentheses in their names, arguments have none.
		if at := strings.LastIndexByte(line, '('); at > 0 && strings.HasSuffix(line, ")") {
			first, _, _ := strings.Cut(line[at+1:len(line)-1], ",")
			pointer, _ := strconv.ParseUint(strings.TrimSuffix(first, "?"), 0, 64)
			switch line[:at] {
			case "internal/poll.runtime_pollWait":
				g.desc = pointer
			case readLoop:
				g.reads = pointer
			case roundTrip:
				g.asks = pointer
			}
			if strings.HasPrefix(line, "runtime.") {
				continue // GOTRACEBACK=system shows how a goroutine waits
			}
			g.frames = append(g.frames, runtime.Frame{Function: line[:at]})
		}
	}
	return all
}

// headed reads the line that begins a goroutine: "goroutine 7 [running]:".
func headed(line string) (id uint64, ok bool) {
	rest, ok := strings.CutPrefix(line, "goroutine ")
	if !ok {
		return 0, false
	}
	number, _, ok := strings.Cut(rest, " ")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(number, 10, 64)
	return id, err == nil
}

// place reads "/path/file.go:12 +0x1d".
func place(text string) (file string, line int) {
	text, _, _ = strings.Cut(text, " +0x")
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return text, 0
	}
	line, err := strconv.Atoi(text[at+1:])
	if err != nil {
		return text, 0
	}
	return text[:at], line
}
