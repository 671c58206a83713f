package symbol

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// mapping is a line of /proc/PID/maps (proc_pid_maps.5).
type mapping struct {
	low, high uint64 // addresses, high is the first after it
	offset    uint64 // in the file
	device    string // "fe:00"
	inode     uint64 // 0 where no file is behind it
	path      string // as the process sees it; "[vdso]", "[heap]"; "" for anonymous memory
	exec      bool
	deleted   bool // the file has no name any more
}

func (m *mapping) holds(a uint64) bool { return m.low <= a && a < m.high }

// maxMappings bounds what is kept of one process. The kernel's own bound is 65,530
// (vm.max_map_count), which databases raise.
const maxMappings = 1 << 18

// parseMaps reads /proc/PID/maps. Lines that make no sense are left out. The result
// is sorted, and its mappings do not overlap.
func parseMaps(b []byte) []mapping {
	var maps []mapping
	var last mapping // its strings are shared by the lines of the same file
	for len(b) > 0 && len(maps) < maxMappings {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		m, ok := parseMapping(line, &last)
		if !ok {
			continue
		}
		last = m
		maps = append(maps, m)
	}
	slices.SortStableFunc(maps, func(a, b mapping) int { return cmp.Compare(a.low, b.low) })
	end := uint64(0)
	return slices.DeleteFunc(maps, func(m mapping) bool {
		if m.low < end {
			return true
		}
		end = m.high
		return false
	})
}

func parseMapping(line []byte, last *mapping) (m mapping, ok bool) {
	var f [5][]byte
	for i := range f {
		f[i], line, ok = bytes.Cut(line, []byte(" "))
		if !ok && i < len(f)-1 {
			return m, false
		}
	}
	low, high, ok := bytes.Cut(f[0], []byte("-"))
	if !ok || len(f[1]) < 4 {
		return m, false
	}
	var errs [4]error
	m.low, errs[0] = strconv.ParseUint(string(low), 16, 64)
	m.high, errs[1] = strconv.ParseUint(string(high), 16, 64)
	m.offset, errs[2] = strconv.ParseUint(string(f[2]), 16, 64)
	m.inode, errs[3] = strconv.ParseUint(string(f[4]), 10, 64)
	for _, err := range errs {
		if err != nil {
			return m, false
		}
	}
	if m.low >= m.high {
		return m, false
	}
	m.exec = f[1][2] == 'x'
	path := bytes.TrimLeft(line, " ")
	if m.inode != 0 {
		path, m.deleted = bytes.CutSuffix(path, []byte(" (deleted)"))
	}
	m.device, m.path = string(f[3]), last.path
	if m.device == last.device {
		m.device = last.device
	}
	if string(path) != last.path {
		m.path = unescapePath(path)
	}
	return m, true
}

// unescapePath puts back the newlines, which the kernel writes as \012.
func unescapePath(b []byte) string {
	return string(bytes.ReplaceAll(b, []byte(`\012`), []byte("\n")))
}

// find gives the mapping that holds an address, nil for none.
func find(maps []mapping, a uint64) *mapping {
	i, _ := slices.BinarySearchFunc(maps, a, func(m mapping, a uint64) int {
		if m.high <= a {
			return -1
		}
		return 1
	})
	if i < len(maps) && maps[i].holds(a) {
		return &maps[i]
	}
	return nil
}
