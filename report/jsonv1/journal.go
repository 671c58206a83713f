package jsonv1

// JournalSchema is the schema of Journal.
const JournalSchema = "tcpvet/journal/v1"

// Journal is the document of tcpvet/journal/v1: what was changed.
type Journal struct {
	Schema  string         `json:"schema"`
	Entries []JournalEntry `json:"entries"` // the newest last
	Older   int            `json:"older"`   // entries that were left out
	Damage  *string        `json:"damage"`
}

// JournalEntry is one set of changes.
type JournalEntry struct {
	ID       string         `json:"id"`
	At       *string        `json:"at"`
	Who      JournalWho     `json:"who"`
	Kind     string         `json:"kind"`
	Risk     string         `json:"risk"`
	Summary  string         `json:"summary"`
	Undoes   *string        `json:"undoes"`
	UndoneBy []string       `json:"undone_by"`
	Recorded bool           `json:"recorded"` // what was there before was written down: else nothing was changed
	Running  bool           `json:"running"`
	Changes  int            `json:"changes"`
	Outcomes map[string]int `json:"outcomes"`
	Unknown  int            `json:"unknown"` // changes that may or may not have been made
	Error    *string        `json:"error"`
}

// JournalWho is who had it changed.
type JournalWho struct {
	UID  uint32  `json:"uid"`
	User *string `json:"user"`
	TTY  *string `json:"tty"`
	From *string `json:"from"`
	PID  int32   `json:"pid"`
}
