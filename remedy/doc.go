// Package remedy plans what may cure a fault, applies the plan and undoes it: it
// gives keepalive to sockets of running processes, closes sockets, and sets settings
// of the kernel.
//
// A plan is made and shown; Apply writes down what is there before it changes
// anything, and afterwards what became of each change. Undo makes a plan from what
// was written down.
package remedy
