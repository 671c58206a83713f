//go:build !linux && !darwin && !windows

package keepalive

import "time"

// setUserTimeout does nothing: the system has no such option.
func setUserTimeout(uintptr, time.Duration) error { return nil }

// chooseLate does nothing: the system has no such option.
func chooseLate(uintptr) error { return nil }
