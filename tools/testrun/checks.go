package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	_, err := r.output(ctx, "go", "vet", "-tags", "soak", "./...")
	errs := []error{err}
	nested, err := r.nested()
	if err != nil {
		return err
	}
	for _, dir := range nested {
		_, err := r.output(ctx, "go", "-C", dir, "vet", "./...")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *repo) staticcheck(ctx context.Context) error {
	bin := filepath.Join(r.temp, "staticcheck")
	defer os.Remove(bin)
	if _, err := r.output(ctx, "go", "-C", "tools", "build", "-o", bin, "honnef.co/go/tools/cmd/staticcheck"); err != nil {
		return err
	}
	_, err := r.output(ctx, bin, "./...")
	errs := []error{err}
	nested, err := r.nested()
	if err != nil {
		return err
	}
	for _, dir := range nested {
		cmd := r.command(ctx, bin, "./...")
		cmd.Dir = filepath.Join(r.root, dir)
		cmd.Env = append(cmd.Env, r.workspace())
		if out, err := cmd.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("staticcheck of %s: %w\n%s", dir, err, out))
		}
	}
	return errors.Join(errs...)
}

// portable are the folders of the main module that run on other systems than Linux
// too: what programs link.
var portable = []string{"./keepalive", "./leaktest"}

// build compiles everything as it is released: static, for both architectures. What
// programs link, its tests included, is looked at as the other systems compile it.
func (r *repo) build(ctx context.Context) error {
	for _, arch := range []string{"amd64", "arm64"} {
		if err := r.compile(ctx, "linux", arch, "build", "-trimpath", "./..."); err != nil {
			return err
		}
	}
	r.said = "linux: amd64 arm64"
	for _, system := range []string{"darwin", "windows"} {
		if err := r.compile(ctx, system, "arm64", append([]string{"vet"}, portable...)...); err != nil {
			return err
		}
		r.said += "; " + system + ": " + strings.Join(portable, " ")
	}
	return nil
}

// compile runs a go command for a system and an architecture, without a C compiler.
func (r *repo) compile(ctx context.Context, system, arch string, args ...string) error {
	cmd := r.command(ctx, "go", args...)
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s for %s/%s: %w\n%s", args[0], system, arch, err, out)
	}
	return nil
}

// nested lists the folders of the other modules of the repository.
func (r *repo) nested() (dirs []string, err error) {
	err = filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.Name() != "go.mod" || filepath.Dir(path) == filepath.Clean(r.root):
			return nil
		}
		dir, err := filepath.Rel(r.root, filepath.Dir(path))
		dirs = append(dirs, filepath.ToSlash(dir))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	return dirs, nil
}
