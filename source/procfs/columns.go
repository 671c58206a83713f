package procfs

// columns cuts a line at white space.
type columns struct{ rest []byte }

// next gives the next column, nil at the end.
func (c *columns) next() []byte {
	i := 0
	for i < len(c.rest) && blank(c.rest[i]) {
		i++
	}
	j := i
	for j < len(c.rest) && !blank(c.rest[j]) {
		j++
	}
	col := c.rest[i:j]
	c.rest = c.rest[j:]
	if len(col) == 0 {
		return nil
	}
	return col
}

func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// hex reads 1 to most hexadecimal digits; most is at most 16.
func hex(b []byte, most int) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > most {
		return 0, false
	}
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

// decimal reads a number of 64 bits.
func decimal(b []byte) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
