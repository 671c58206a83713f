// Package sourcetest holds the test that every source passes: Conform stages
// sockets of its own in every state that they can be kept in, asks the kernel
// about their descriptors, and holds what the source tells against that.
package sourcetest
