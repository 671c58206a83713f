package netns

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Select picks from found what the names ask for, in the order of found and
// each once: file names of bind mounts, inodes ("4026532177",
// "net:[4026532177]") and processes ("pid:4121", the namespace of its main
// thread). A name goes before an equal number.
//
// The error of a name that is in no namespace lists those that are nearest. For
// a process that may not be looked at it wraps ErrNotPermitted, for one that
// has ended ErrGone.
func Select(found []Found, names []string) ([]Found, error) {
	picked := make([]bool, len(found))
	for _, name := range names {
		i, err := find(found, name)
		if err != nil {
			return nil, err
		}
		picked[i] = true
	}
	var out []Found
	for i := range found {
		if picked[i] {
			out = append(out, found[i])
		}
	}
	return out, nil
}

func find(found []Found, name string) (int, error) {
	byID := func(id tcpvet.NetnsID) int {
		return slices.IndexFunc(found, func(f Found) bool { return f.ID == id })
	}
	if i := slices.IndexFunc(found, func(f Found) bool { return slices.Contains(f.Names, name) }); i >= 0 {
		return i, nil
	}
	if text, ok := strings.CutPrefix(name, "pid:"); ok {
		pid, err := strconv.ParseInt(text, 10, 32)
		if err != nil || pid <= 0 {
			return 0, fmt.Errorf("select namespace %q: expected pid: and the number of a process", name)
		}
		id, err := ofProcess(int(pid))
		if err != nil {
			return 0, fmt.Errorf("select namespace %q: %w", name, err)
		}
		if i := byID(id); i >= 0 {
			return i, nil
		}
		return 0, fmt.Errorf("select namespace %q: its namespace %d was not found: %w", name, id, ErrGone)
	}
	if id, ok := ParseID(name); ok {
		if i := byID(id); i >= 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("select namespace %q: there is none of that name or inode; %s", name, near(found, name))
}

// ParseID reads an inode as a number or as the link in /proc/PID/ns has it:
// 4026532177, net:[4026532177].
func ParseID(s string) (tcpvet.NetnsID, bool) {
	if inner, ok := strings.CutPrefix(s, "net:["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return 0, false
		}
	}
	id, err := strconv.ParseUint(s, 10, 64)
	return tcpvet.NetnsID(id), err == nil && id != 0
}

// near words what could have been meant: names that are few edits away, else
// some of what there is.
func near(found []Found, name string) string {
	var all, alike []string
	for i := range found {
		words := found[i].Names
		if len(words) == 0 {
			words = []string{found[i].Name()}
		}
		for _, w := range words {
			all = append(all, w)
			// A third of the letters may differ, as in a slip of
			// the hand; a common begin is what is left of a cut name.
			if distance(w, name) <= max(1, len(name)/3) || strings.HasPrefix(w, name) {
				alike = append(alike, w)
			}
		}
	}
	const shown = 8
	switch {
	case len(alike) > 0:
		return "near it: " + strings.Join(alike[:min(shown, len(alike))], ", ")
	case len(all) == 0:
		return "no namespace was found at all"
	case len(all) > shown:
		return fmt.Sprintf("there are %s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return "there are " + strings.Join(all, ", ")
}

// distance counts the letters to insert, drop or change between two names, of
// which the first 64 bytes count.
func distance(a, b string) int {
	const most = 64
	a, b = a[:min(most, len(a))], b[:min(most, len(b))]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
