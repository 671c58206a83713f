// Package kernel probes what the running kernel can do: one function for each
// feature, none of which compares version numbers.
//
// A probe has three answers. nil: the feature works here. An *Unsupported: it
// does not, and will not until the kernel or its configuration changes. Any
// other error: the probe could not tell, mostly for want of a privilege.
// Probes leave nothing behind and are cheap enough to be asked again; none
// remembers its answer, since some hold for one network namespace only.
package kernel

import (
	"cmp"
	"errors"
	"fmt"
)

// Unsupported is a probe's "no". It matches errors.ErrUnsupported.
type Unsupported struct {
	Feature string // "state filter for bound sockets"
	Since   string // the first Linux release that has it: "6.8"; "" where the build or the settings decide, not the age
	Lack    string // what is the matter where it is not the kernel: "none is mounted"; "" for the kernel
	Err     error  // what the kernel answered, nil where its answer was an omission
}

// Error names the feature and what would bring it.
func (u *Unsupported) Error() string {
	msg := "find " + u.Feature + ": " + cmp.Or(u.Lack, "kernel lacks it")
	if u.Since != "" {
		msg += fmt.Sprintf(" (Linux %s has it)", u.Since)
	}
	if u.Err != nil {
		msg += ": " + u.Err.Error()
	}
	return msg
}

// Is makes errors.Is(err, errors.ErrUnsupported) true.
func (u *Unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// Unwrap gives the kernel's own answer.
func (u *Unsupported) Unwrap() error { return u.Err }
