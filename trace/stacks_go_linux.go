package trace

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// goLayout is where a Go program has its goroutines: struct go_layout in
// bpf/goroutine.h but for the start of the process.
type goLayout struct {
	all                           uint64    // address of runtime.allgs, as linked
	low, high                     [2]uint64 // of functions that start goroutines which dial for others, as linked
	id, parent, status, pc, frame uint16    // offsets in struct g
	first                         uint64    // address of the first page of the program, as linked
	relocatable                   bool
}

// errStripped says that a program does not tell where its goroutines are.
var errStripped = errors.New("it has no symbols or no DWARF: a build without -ldflags '-s -w' has")

// mostDWARF bounds the descriptions of types and functions that are gone through.
const mostDWARF = 1 << 29

// dialers start a goroutine that dials for who asked, and who waits for it.
var dialers = [2]string{"net/http.(*Transport).startDialConnForLocked", "net/http.(*Transport).queueForDial"} // from Go 1.23 on, before

// readGoLayout reads the layout of an ELF file. A Go program that makes no requests by
// net/http has nobody to ask for: that is an error too.
func readGoLayout(r io.ReaderAt) (l goLayout, err error) {
	// debug/elf and debug/dwarf may panic on what others wrote.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read Go program: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return l, fmt.Errorf("read Go program: %w", err)
	}
	if !isGo(f) {
		return l, errors.New("read Go program: it is none")
	}
	if err := l.readSymbols(f); err != nil {
		return l, fmt.Errorf("read Go program: %w", err)
	}
	if err := l.readTypes(f); err != nil {
		return l, fmt.Errorf("read Go program: %w", err)
	}
	return l, nil
}

func (l *goLayout) readSymbols(f *elf.File) error {
	symbols, err := f.Symbols()
	if err != nil {
		return errStripped
	}
	for _, s := range symbols {
		if s.Name == "runtime.allgs" {
			l.all = s.Value
		}
		for i, name := range dialers {
			if s.Name == name {
				l.low[i], l.high[i] = s.Value, s.Value+s.Size
			}
		}
	}
	if l.all == 0 || l.high == [2]uint64{} {
		return errors.New("nothing in it dials for others")
	}
	l.relocatable = f.Type == elf.ET_DYN
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			l.first = p.Vaddr &^ 4095
			break
		}
	}
	return nil
}

// readTypes finds struct g in what DWARF says of package runtime.
func (l *goLayout) readTypes(f *elf.File) error {
	var size uint64
	for _, s := range f.Sections {
		switch s.Name {
		case ".debug_info", ".debug_abbrev", ".debug_str", ".debug_line":
			size += s.Size // not compressed
		}
	}
	if size == 0 {
		return errStripped
	}
	if size > mostDWARF {
		return fmt.Errorf("its DWARF takes %d MiB, more than is gone through", size>>20)
	}
	d, err := f.DWARF()
	if err != nil {
		return err
	}
	r := d.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil {
			return errors.New("its DWARF has no struct g")
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch {
		case e.Tag == dwarf.TagCompileUnit && name == "runtime":
		case e.Tag == dwarf.TagStructType && name == "runtime.g":
			t, err := d.Type(e.Offset)
			if err != nil {
				return err
			}
			return l.readG(t)
		case e.Children:
			r.SkipChildren()
		}
	}
}

// readG reads the offsets of what is used of struct g.
func (l *goLayout) readG(t dwarf.Type) error {
	g, ok := t.(*dwarf.StructType)
	if !ok {
		return errors.New("its struct g is none")
	}
	fields := offsets(g)
	var sched map[string]int64
	for _, field := range g.Field {
		if field.Name != "sched" {
			continue
		}
		of := field.Type
		if named, ok := of.(*dwarf.TypedefType); ok {
			of = named.Type
		}
		if buf, ok := of.(*dwarf.StructType); ok {
			sched = offsets(buf)
		}
	}
	for _, want := range []struct {
		to    *uint16
		in    map[string]int64
		name  string
		after int64
	}{
		{&l.id, fields, "goid", 0}, {&l.parent, fields, "parentGoid", 0}, {&l.status, fields, "atomicstatus", 0},
		{&l.pc, sched, "pc", fields["sched"]}, {&l.frame, sched, "bp", fields["sched"]},
	} {
		at, ok := want.in[want.name]
		if at += want.after; !ok || at < 0 || at > 4096 {
			return fmt.Errorf("its struct g has no %s: Go 1.21 and later have", want.name)
		}
		*want.to = uint16(at)
	}
	return nil
}

func offsets(t *dwarf.StructType) map[string]int64 {
	m := make(map[string]int64, len(t.Field))
	for _, f := range t.Field {
		m[f.Name] = f.ByteOffset
	}
	return m
}

// encode gives a struct go_layout for a process that started then, whose program begins
// in memory at begin.
func (l *goLayout) encode(start, begin uint64) []byte {
	moved := uint64(0)
	if l.relocatable {
		moved = begin - l.first
	}
	words := []uint64{start, l.all + moved}
	for _, span := range [2][2]uint64{l.low, l.high} {
		for _, a := range span {
			if a != 0 {
				a += moved
			}
			words = append(words, a)
		}
	}
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	for _, v := range []uint16{l.id, l.parent, l.status, l.pc, l.frame, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}
