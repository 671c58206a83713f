package symbol

import (
	"bytes"
	"reflect"
	"testing"
)

func TestParseMaps(t *testing.T) {
	// Lines as the kernel writes them, of several processes.
	text := `555ce35c6000-555ce35c8000 r--p 00000000 fe:00 9994635                    /tmp/a b (deleted)
555ce35c8000-555ce35cd000 r-xp 00002000 fe:00 9994635                    /tmp/a b (deleted)
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xs 00000000 00:01 7                          /memfd:jit (deleted)
7f0000003000-7f0000004000 r-xp 00000000 fe:00 8                          /tmp/new\012line
7fff5df1b000-7fff5df3c000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	want := []mapping{
		{low: 0x555ce35c6000, high: 0x555ce35c8000, device: "fe:00", inode: 9994635, path: "/tmp/a b", deleted: true},
		{low: 0x555ce35c8000, high: 0x555ce35cd000, offset: 0x2000, device: "fe:00", inode: 9994635, path: "/tmp/a b", exec: true, deleted: true},
		{low: 0x7f0000000000, high: 0x7f0000001000, device: "00:00", exec: true},
		{low: 0x7f0000002000, high: 0x7f0000003000, device: "00:01", inode: 7, path: "/memfd:jit", exec: true, deleted: true},
		{low: 0x7f0000003000, high: 0x7f0000004000, device: "fe:00", inode: 8, path: "/tmp/new\nline", exec: true},
		{low: 0x7fff5df1b000, high: 0x7fff5df3c000, device: "00:00", path: "[vdso]", exec: true},
		{low: 0xffffffffff600000, high: 0xffffffffff601000, device: "00:00", path: "[vsyscall]", exec: true},
	}
	maps := parseMaps([]byte(text))
	if !reflect.DeepEqual(maps, want) {
		t.Errorf("got  %+v\nwant %+v", maps, want)
	}
	for a, want := range map[uint64]string{
		0x555ce35c7fff: "/tmp/a b", 0x7f0000001000: "none", 0x7f0000002000: "/memfd:jit", 0x555ce35c5fff: "none", 0x7fff5df3bfff: "[vdso]", ^uint64(0): "none",
	} {
		got := "none"
		if m := find(maps, a); m != nil {
			got = m.path
		}
		if got != want {
			t.Errorf("%#x is in %s, want %s", a, got, want)
		}
	}
}

func TestParseMapsGarbage(t *testing.T) {
	for _, line := range []string{
		"", "x", "1-2", "1000-2000 r-xp", "1000-2000 r-xp 0 00:00", "2000-1000 r-xp 0 00:00 0", "1000 r-xp 0 00:00 0",
		"1000-2000 r 0 00:00 0 ", "zz-2000 r-xp 0 00:00 0 ", "1000-2000 r-xp 0 00:00 -1 ", "10000000000000000-2 r-xp 0 00:00 0 ",
	} {
		if maps := parseMaps([]byte(line)); maps != nil {
			t.Errorf("%q gives %+v", line, maps)
		}
	}
	// Mappings that overlap cannot be: the first counts.
	if maps := parseMaps([]byte("1000-3000 r-xp 0 00:00 0 \n2000-4000 r-xp 0 00:00 0 \n")); len(maps) != 1 || maps[0].high != 0x3000 {
		t.Errorf("overlapping: %+v", maps)
	}
}

func FuzzMaps(f *testing.F) {
	f.Add([]byte("1000-2000 r-xp 00002000 fe:00 99 /bin/x (deleted)\n3000-4000 rwxp 0 00:00 0 \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		maps := parseMaps(b)
		if len(maps) > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("%d mappings of so few lines", len(maps))
		}
		for i, m := range maps {
			if m.low >= m.high || i > 0 && m.low < maps[i-1].high {
				t.Errorf("%+v after %+v", m, maps[max(0, i-1)])
			}
			if find(maps, m.low) != &maps[i] || find(maps, m.high-1) != &maps[i] {
				t.Errorf("%+v is not found", m)
			}
		}
	})
}
