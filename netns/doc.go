// Package netns finds the network namespaces of a machine and runs functions
// inside them.
package netns
