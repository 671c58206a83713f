package vet

import "github.com/tcpvet/tcpvet"

// Rise is how far a counter came between two looks. The zero value stands for one
// that did not rise, or is not known.
type Rise struct{ Now, More uint64 }

// RiseOf gives that of a namespace's counter.
func RiseOf(c *tcpvet.Case, id tcpvet.NetnsID, counter string) Rise {
	if c.Before == nil {
		return Rise{}
	}
	now, ok1 := c.Now.Netns[id].Counters[counter]
	before, ok2 := c.Before.Netns[id].Counters[counter]
	if !ok1 || !ok2 || now <= before {
		return Rise{}
	}
	return Rise{now, now - before}
}

// Risen gives the namespaces in which a counter rose.
func Risen(c *tcpvet.Case, counter string) map[tcpvet.NetnsID]Rise {
	rose := make(map[tcpvet.NetnsID]Rise)
	for id := range c.Now.Netns {
		if r := RiseOf(c, id, counter); r != (Rise{}) {
			rose[id] = r
		}
	}
	return rose
}
