// Command leak leaks connections to 127.0.0.1 from two lines, beside one that closes
// what it opens: leak PORT SEVERAL FEW [goroutines|http]. It then says "held" and waits
// for the end of its input. With http it leaks one first, and waits for a byte.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

var (
	at   string
	mu   sync.Mutex
	held []any
)

func keep(v any, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mu.Lock()
	held = append(held, v)
	mu.Unlock()
}

func leakOften() {
	c, err := net.Dial("tcp", at) // line: often
	keep(c, err)
}

func leakSeldom() {
	c, err := net.Dial("tcp", at) // line: seldom
	keep(c, err)
}

func clean() {
	c, err := net.Dial("tcp", at) // line: clean
	if err == nil {
		err = c.Close()
	}
	keep(nil, err)
}

func get() {
	r, err := http.Get("http://" + at) // line: get
	keep(r, err)
}

func work(each func(), n int) {
	var done sync.WaitGroup
	for range n {
		done.Add(1)
		go func() { // line: started
			defer done.Done()
			each()
		}()
	}
	done.Wait()
}

func main() {
	at = "127.0.0.1:" + os.Args[1]
	several, _ := strconv.Atoi(os.Args[2])
	few, _ := strconv.Atoi(os.Args[3])
	switch {
	case len(os.Args) > 4 && os.Args[4] == "http":
		get()
		fmt.Println("held one")
		os.Stdin.Read(make([]byte, 1))
		for range several {
			get()
		}
	case len(os.Args) > 4:
		work(leakOften, several)
		work(leakSeldom, few) // line: work seldom
	default:
		for i := range several {
			leakOften()
			clean()
			if i < few {
				leakSeldom()
			}
		}
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
}
