// Package live makes the measurements that package probe judges: it resolves a
// name, looks up the route and tries to connect, inside a network namespace.
package live
