// Package symbol turns addresses of a process into frames: the function, its file
// and line, and the module that holds it.
//
// What it reads belongs to other processes, in other containers and of other users:
// it is bounded everywhere, taken for garbage until it proves to be none, and a
// process that has ended meanwhile is no error. Decoding takes bytes or an
// io.ReaderAt and works anywhere; only the reading of a process needs Linux.
package symbol
