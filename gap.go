package tcpvet

// Gap is something that a look was to see and could not. It fails nothing:
// it is reported beside what was seen.
type Gap struct {
	What  string  // what is missing: "holders", "sockets", "container name"
	Where string  // "netns 4026532177", "process 4121", "" for the whole host
	Netns NetnsID // the namespace it is about, 0 for none
	Err   string  // why
	Needs string  // what would help: "root", "CAP_SYS_PTRACE", "" where nothing is known to
	Count int     // how many alike were folded into this one; 0 counts as 1
}
