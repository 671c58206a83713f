package procfs

// FS says where to read. The zero value reads the machine.
type FS struct {
	Root string // where procfs is mounted; "" for /proc
	Host string // put before /etc, /run, /usr and /var/lib when settings and the files of container runtimes are read; "" for none
}

func (fs FS) root() string {
	if fs.Root == "" {
		return "/proc"
	}
	return fs.Root
}

// live tells whether PIDs found below Root are those that system calls of this
// process understand.
func (fs FS) live() bool { return fs.root() == "/proc" }
