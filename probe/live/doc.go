// Package live makes the measurements that package probe judges: it resolves a
// name, looks up the route and tries to connect, inside a network namespace; and it
// reads what is around an attempt of another program that was seen to fail.
package live
