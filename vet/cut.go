package vet

import (
	"cmp"
	"slices"
)

// Cut parts what is too long to be told one by one: the first most of a list that
// is in order, and the rest. One alone is no rest: it is as short as its sum.
func Cut[T any](all []T, most int) (named, rest []T) {
	if len(all) <= most+1 {
		return all, nil
	}
	return all[:most], all[most:]
}

// Largest keeps the largest of those that are alike, at most so many, and makes one of
// the others by add. alike tells with 0 that two are; larger puts the larger one first.
func Largest[T any](all []T, most int, alike, larger func(a, b T) int, add func(sum, o *T)) []T {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Or(alike(a, b), larger(a, b)) })
	var out []T
	for len(all) > 0 {
		n := 1
		for n < len(all) && alike(all[0], all[n]) == 0 {
			n++
		}
		named, rest := Cut(all[:n], most)
		out = append(out, named...)
		if len(rest) > 0 {
			sum := rest[0]
			for i := range rest[1:] {
				add(&sum, &rest[1+i])
			}
			out = append(out, sum)
		}
		all = all[n:]
	}
	return out
}
