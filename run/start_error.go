package run

// Exit statuses of a command that did not run, as the shell and env(1) have them.
const (
	StatusFailed        = 125 // tcpvet itself failed
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

// StartError says why a command did not run.
type StartError struct {
	Status int // StatusFailed, StatusNotExecutable or StatusNotFound
	Err    error
}

// Error says why.
func (e *StartError) Error() string { return "run command: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }
