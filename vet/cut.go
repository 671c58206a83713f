package vet

// Cut parts what is too long to be told one by one: the first most of a list that
// is in order, and the rest. One alone is no rest: it is as short as its sum.
func Cut[T any](all []T, most int) (named, rest []T) {
	if len(all) <= most+1 {
		return all, nil
	}
	return all[:most], all[most:]
}
