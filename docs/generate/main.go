// Command generate renders docs/man and docs/rules from the texts that the
// program itself prints, so that they cannot differ.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/tcpvet/tcpvet/internal/cli"
	"github.com/tcpvet/tcpvet/manual"
	"github.com/tcpvet/tcpvet/rules"
)

// dated is the date in the head of the manual pages: of the last release, so
// that a rendering depends on the texts alone.
var dated = time.Date(2026, time.November, 24, 0, 0, 0, 0, time.UTC)

func main() {
	if err := render("docs"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func render(dir string) error {
	man, pages := filepath.Join(dir, "man"), filepath.Join(dir, "rules")
	for _, d := range []string{man, pages} {
		// What a renamed verb or rule left behind goes.
		if err := os.RemoveAll(d); err != nil {
			return err
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := verbs(man); err != nil {
		return err
	}
	book := manual.New(rules.All...)
	for _, g := range book.Groups() {
		if g.Section == manual.Rules {
			continue
		}
		page := manual.Page{
			Name: "tcpvet-" + string(g.Section), Title: g.Section.Title(), Date: dated.Format(time.DateOnly), Topics: g.Topics,
		}
		if err := write(filepath.Join(man, page.Name+".7"), func(w io.Writer) error { return manual.Man(w, page) }); err != nil {
			return err
		}
	}
	for _, r := range rules.All {
		t := manual.RuleTopic(r)
		page := manual.Page{Name: "tcpvet-" + r.Name, Title: t.Title, Date: dated.Format(time.DateOnly), Topics: []manual.Topic{t}}
		if err := write(filepath.Join(man, page.Name+".7"), func(w io.Writer) error { return manual.Man(w, page) }); err != nil {
			return err
		}
		if err := write(filepath.Join(pages, r.Name+".md"), func(w io.Writer) error { return manual.Markdown(w, t) }); err != nil {
			return err
		}
	}
	return nil
}

// verbs writes a page of section 1 for the program, each of its verbs, and each of theirs.
func verbs(dir string) error {
	root := cli.Command(cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	root.DisableAutoGenTag = true
	for _, cmd := range family(root) {
		cmd.DisableAutoGenTag = true
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		header := &doc.GenManHeader{Title: "", Section: "1", Date: &dated, Source: "tcpvet", Manual: "tcpvet manual"}
		if err := write(filepath.Join(dir, name+".1"), func(w io.Writer) error { return doc.GenMan(cmd, header, w) }); err != nil {
			return err
		}
	}
	return nil
}

// family gives a command and all below it that its help lists.
func family(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, family(c)...)
		}
	}
	return all
}

func write(path string, to func(io.Writer) error) error {
	var b bytes.Buffer
	if err := to(&b); err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
