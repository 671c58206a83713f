package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// bpfCompiler is the one by which the committed BPF objects were made, and which
// makes them again bit for bit. The directives name it.
const bpfCompiler = "clang-19"

// checkGenerated runs "go generate" and fails where a tracked file changes.
func (r *repo) checkGenerated(ctx context.Context) error {
	files, err := r.goFiles(ctx)
	if err != nil {
		return err
	}
	directives := 0
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(r.root, f))
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte("//go:generate ")) || bytes.Contains(text, []byte("\n//go:generate ")) {
			directives++
		}
	}
	if directives == 0 {
		r.said = "no directive"
		return nil
	}
	if !r.inGit() {
		r.notes = append(r.notes, "generate: not a git checkout, nothing to compare with")
		return nil
	}
	before, err := r.output(ctx, "git", "diff")
	if err != nil {
		return err
	}
	args := []string{"generate", "./..."}
	if !have(bpfCompiler) {
		// The committed objects stay unproven here; all else is checked.
		args = []string{"generate", "-skip", bpfCompiler, "./..."}
		r.notes = append(r.notes, "generate: no "+bpfCompiler+" here: the BPF objects were not compiled again; install the packages of packages.txt")
	}
	if _, err := r.output(ctx, "go", args...); err != nil {
		return err
	}
	after, err := r.output(ctx, "git", "diff")
	if err != nil {
		return err
	}
	if after != before {
		stat, _ := r.output(ctx, "git", "diff", "--stat")
		return fmt.Errorf("generated files differ from those of \"go generate ./...\": commit what it wrote\n%s", stat)
	}
	return nil
}

func (r *repo) checkFormat(ctx context.Context) error {
	files, err := r.goFiles(ctx)
	if err != nil {
		return err
	}
	out, err := r.output(ctx, "gofmt", append([]string{"-l"}, files...)...)
	if err != nil {
		return err
	}
	if out != "" {
		return fmt.Errorf("not formatted; run gofmt -w on:\n%s", strings.TrimSpace(out))
	}
	r.said = fmt.Sprintf("%d files", len(files))
	return nil
}

// goFiles lists the repository's Go files: tracked and new ones, not ignored.
func (r *repo) goFiles(ctx context.Context) (files []string, err error) {
	if r.inGit() {
		out, err := r.output(ctx, "git", "ls-files", "-z", "-co", "--exclude-standard", "--", "*.go")
		if err != nil {
			return nil, err
		}
		for f := range strings.SplitSeq(out, "\x00") {
			if _, err := os.Stat(filepath.Join(r.root, f)); f != "" && err == nil {
				files = append(files, f)
			}
		}
		return files, nil
	}
	err = filepath.WalkDir(r.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			rel, _ := filepath.Rel(r.root, path)
			files = append(files, rel)
		}
		return err
	})
	return files, err
}

func (r *repo) inGit() bool {
	_, err := os.Stat(filepath.Join(r.root, ".git"))
	return err == nil && have("git")
}

// vet looks at every module.
func (r *repo) vet(ctx context.Context) error {
	_, err1 := r.output(ctx, "go", "vet", "-tags", "soak", "./...")
	_, err2 := r.output(ctx, "go", "-C", "tools", "vet", "./...")
	return errors.Join(err1, err2)
}

func (r *repo) staticcheck(ctx context.Context) error {
	bin := filepath.Join(r.temp, "staticcheck")
	defer os.Remove(bin)
	if _, err := r.output(ctx, "go", "-C", "tools", "build", "-o", bin, "honnef.co/go/tools/cmd/staticcheck"); err != nil {
		return err
	}
	_, err1 := r.output(ctx, bin, "./...")
	cmd := r.command(ctx, bin, "./...")
	cmd.Dir = filepath.Join(r.root, "tools")
	out, err2 := cmd.CombinedOutput()
	if err2 != nil {
		err2 = fmt.Errorf("staticcheck of tools: %w\n%s", err2, out)
	}
	return errors.Join(err1, err2)
}

// build compiles everything as it is released: static, for both architectures.
func (r *repo) build(ctx context.Context) error {
	for _, arch := range []string{"amd64", "arm64"} {
		cmd := r.command(ctx, "go", "build", "-trimpath", "./...")
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build for %s: %w\n%s", arch, err, out)
		}
	}
	r.said = "amd64 arm64"
	return nil
}
