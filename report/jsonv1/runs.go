package jsonv1

// RunsSchema is the schema of Runs.
const RunsSchema = "tcpvet/runs/v1"

// Runs is the document of tcpvet/runs/v1: the runs that go on by themselves.
type Runs struct {
	Schema string `json:"schema"`
	Runs   []Run  `json:"runs"` // the oldest first
}

// Run is a run that goes on by itself.
type Run struct {
	ID         string     `json:"id"`
	Since      *string    `json:"since"`
	Cgroup     *string    `json:"cgroup"` // its folder
	CgroupGone bool       `json:"cgroup_gone"`
	Timers     Timers     `json:"timers"`
	SourcePool []string   `json:"source_pool"`
	Counts     *RunCounts `json:"counts"` // null where they cannot be read
	Error      *string    `json:"error"`
}

// RunCounts are what became of the sockets of a run since it began.
type RunCounts struct {
	Opened        uint64    `json:"opened"`
	Accepted      uint64    `json:"accepted"`
	Failed        RunFailed `json:"failed"`
	CloseWait     uint64    `json:"close_wait"`
	MostCloseWait uint64    `json:"most_close_wait"`
	Leaked        *uint64   `json:"leaked"` // null where that cannot be told
	Refused       uint64    `json:"refused"`
	Unbound       uint64    `json:"unbound"`
	OwnValues     []RunOwn  `json:"own_values"`
}

// RunFailed counts connects that came to nothing.
type RunFailed struct {
	NoPort     uint64 `json:"no_port"`
	NoSYN      uint64 `json:"no_syn"`
	Unanswered uint64 `json:"unanswered"`
	GivenUp    uint64 `json:"given_up"`
}

// RunOwn is a program that set values of its own.
type RunOwn struct {
	PID         *int   `json:"pid"`
	Comm        string `json:"comm"`
	Timers      Timers `json:"timers"`
	Connections uint64 `json:"connections"`
}
