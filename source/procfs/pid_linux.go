package procfs

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// ErrEnded says that a process has ended, or that its PID belongs to another
// one by now.
var ErrEnded = errors.New("process has ended")

// maxArgs bounds what is kept of a command line, in bytes. A Java command line
// can have a hundred kilobytes of class path.
const maxArgs = 4096

// ProcessInfo reads what is known of one process. For many of them a Processes
// is cheaper.
func (fs FS) ProcessInfo(p tcpvet.Process) (tcpvet.ProcessInfo, error) {
	return (&Processes{FS: fs}).Info(p)
}

// Processes reads what is known of processes, and remembers containers by their
// cgroup. It is for one look and for one goroutine. Its zero value reads the
// machine.
type Processes struct {
	FS    FS
	Hosts bool // read what localhost means to each

	hosts  hostsFiles
	groups map[string]identity
	denied int                          // containers whose name may not be read
	podman map[string]map[string]string // names by ID, by containers.json
	homes  map[string]string            // by UID
	buf    []byte
}

// Info reads what is known of p. What may not be read is left at its zero
// value; Descriptors and Sockets are not read here but by ScanHolders. Args
// are cut at 4 KB. UID is the effective one.
//
// The error wraps ErrEnded where p has ended, or its PID belongs to a process with
// another start time, and ErrHidden where procfs does not show it.
func (ps *Processes) Info(p tcpvet.Process) (tcpvet.ProcessInfo, error) {
	if ps.buf == nil {
		ps.buf = make([]byte, 64<<10)
	}
	name := strconv.Itoa(int(p.PID))
	fail := func(err error) (tcpvet.ProcessInfo, error) {
		if gone(err) {
			err = ErrEnded
		}
		return tcpvet.ProcessInfo{}, fmt.Errorf("read process %s: %w", name, err)
	}
	root, err := openRoot(ps.FS.root())
	if err != nil {
		return tcpvet.ProcessInfo{}, fmt.Errorf("read process %s: open %s: %w", name, ps.FS.root(), err)
	}
	defer root.close()
	// The directory goes on meaning this process, so that one comparison of
	// the start time vouches for all that is read below it.
	d, err := openDir(root, name)
	if err != nil {
		return fail(ps.FS.unopened(p.PID, err))
	}
	defer d.close()
	b, err := d.read("stat", ps.buf)
	if err != nil {
		return fail(err)
	}
	st, err := parseStat(b)
	if err != nil {
		return fail(err)
	}
	if st.start != p.Start {
		return fail(ErrEnded)
	}

	info := tcpvet.ProcessInfo{Comm: string(st.comm), LeaderExited: st.leaderExited()}
	at := "" // where what hangs on a live thread is
	if info.LeaderExited {
		at = ps.liveThread(d, p.PID)
	}
	if b, err := d.read(at+"cmdline", ps.buf[:maxArgs]); err == nil {
		info.Args = splitArgs(b)
	}
	if b, err := d.readlink(at+"exe", ps.buf); err == nil {
		info.Exe = strings.TrimSuffix(path.Base(string(b)), " (deleted)")
	}
	if b, err := d.read("status", ps.buf); err == nil {
		info.UID, _ = parseEffectiveUID(b)
	}
	if b, err := d.read("limits", ps.buf); err == nil {
		info.DescriptorLimit, _ = parseNoFile(b)
	}
	if b, err := d.readlink(at+"ns/net", ps.buf); err == nil {
		inode, _ := nsInode(b, "net")
		info.Netns = tcpvet.NetnsID(inode)
	}
	id := ps.identify(d, at)
	info.Container, info.Unit = id.container, id.unit
	if ps.Hosts {
		info.Localhost = ps.localhost(d, at)
	}
	return info, nil
}

// Gaps gives what could not be read so far, beyond what each ProcessInfo leaves
// out: the names of containers, and hosts files.
func (ps *Processes) Gaps() []tcpvet.Gap {
	gaps := ps.hosts.gaps()
	if ps.denied == 0 {
		return gaps
	}
	return append(gaps, tcpvet.Gap{
		What:  "container name",
		Err:   "read the files of the container runtime: permission denied",
		Needs: "root",
		Count: ps.denied,
	})
}

// liveThread gives the path of a thread that still runs, relative to the
// process, "" for none.
func (ps *Processes) liveThread(d dir, leader int32) string {
	task, err := openDir(d, "task")
	if err != nil {
		return ""
	}
	defer task.close()
	var tids []string
	task.names(ps.buf, func(name []byte) bool {
		if string(name) != strconv.Itoa(int(leader)) {
			tids = append(tids, string(name))
		}
		return len(tids) < 16 // threads come and go: a few to choose from
	})
	for _, tid := range tids {
		b, err := task.read(tid+"/stat", ps.buf)
		if err != nil {
			continue
		}
		if st, err := parseStat(b); err == nil && st.state != 'Z' && st.state != 'X' {
			return "task/" + tid + "/"
		}
	}
	return ""
}

// identify tells container and unit from the cgroups, and where those hide
// what is above them, from the mounts.
func (ps *Processes) identify(d dir, at string) identity {
	b, err := d.read(at+"cgroup", ps.buf)
	if err != nil {
		return identity{}
	}
	key := string(b)
	place := parseCgroup(b)
	if place.container == nil && place.hidden {
		// Every process below a private root shows the same path. The
		// mount namespace tells them apart.
		link, err := d.readlink(at+"ns/mnt", ps.buf)
		if err != nil {
			return place.identity
		}
		key += string(link)
	}
	if id, ok := ps.groups[key]; ok {
		return id
	}
	id := place.identity
	if id.container == nil && place.hidden {
		if f, err := d.open(at + "mountinfo"); err == nil {
			id.container = containerFromMounts(f)
			f.Close()
		}
	}
	if id.container != nil {
		ps.name(id.container, place.user)
	}
	if ps.groups == nil {
		ps.groups = map[string]identity{}
	}
	const most = 1 << 14 // a host that starts a container a second, looked at for hours
	if len(ps.groups) >= most {
		clear(ps.groups)
	}
	ps.groups[key] = id
	return id
}
