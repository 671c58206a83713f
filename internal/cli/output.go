package cli

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// output holds the flags that say how to print.
type output struct {
	format string
	color  string
	can    []string
}

// flags adds the flags for a verb that prints what can names, by default the
// first, and has them checked before it runs.
func (o *output) flags(cmd *cobra.Command, can ...string) {
	o.can = can
	cmd.PreRunE = func(*cobra.Command, []string) error { return o.check() }
	cmd.Flags().StringVarP(&o.format, "output", "o", can[0], "how to print: "+strings.Join(can, ", "))
	cmd.Flags().StringVar(&o.color, "color", "auto", "colour: auto (only on a terminal), always or never")
	complete(cmd, "output", can...)
	complete(cmd, "color", "auto", "always", "never")
}

// check refuses what the verb does not print.
func (o *output) check() error {
	if !slices.Contains(o.can, o.format) {
		return usage("-o %q: this verb prints %s", o.format, strings.Join(o.can, ", "))
	}
	if !slices.Contains([]string{"auto", "always", "never"}, o.color) {
		return usage("--color %q: expected auto, always or never", o.color)
	}
	return nil
}

// colored tells whether what goes to w is to be coloured
// (https://no-color.org, and TERM=dumb).
func (o *output) colored(w io.Writer) bool {
	switch o.color {
	case "always":
		return true
	case "never":
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(w)
}

// terminal tells whether w is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// width gives the columns of the terminal w, or what it is not for one.
func width(w io.Writer, otherwise int) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	if n, err := strconv.Atoi(os.Getenv(columnsVariable)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// columnsVariable says how wide it is to be what goes to no terminal, where a shell
// exports it.
const columnsVariable = "COLUMNS"

// document prints one JSON document, indented.
func document(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// line prints one JSON document on a line of its own.
func line(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
