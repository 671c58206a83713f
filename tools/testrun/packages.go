package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// installPackages installs what packages.txt lists and this machine lacks, as
// root on Debian and its relatives. Elsewhere it names what is missing.
func (r *repo) installPackages(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.root, "packages.txt"))
	if err != nil {
		return err
	}
	if !have("dpkg-query") || !have("apt-get") {
		r.notes = append(r.notes, "packages: no apt-get here; install the programs of packages.txt by hand")
		return nil
	}
	missing := r.missing(ctx, listed(string(text)))
	if len(missing) == 0 {
		r.said = "all there"
		return nil
	}
	if os.Geteuid() != 0 {
		r.notes = append(r.notes, "packages: not root; missing: "+strings.Join(missing, " "))
		return nil
	}
	if err := r.aptGet(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...); err != nil {
		// The list of packages may be old, or there may be none yet.
		if err := r.aptGet(ctx, "update"); err != nil {
			return err
		}
		if err := r.aptGet(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...); err != nil {
			return err
		}
	}
	if still := r.missing(ctx, missing); len(still) > 0 {
		return fmt.Errorf("install packages: still missing: %s", strings.Join(still, " "))
	}
	r.said = "installed " + strings.Join(missing, " ")
	return nil
}

// listed gives the names in a list of one package a line, with # comments.
func listed(text string) (names []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if name := strings.TrimSpace(line); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// missing gives those of the packages that dpkg does not hold as installed.
func (r *repo) missing(ctx context.Context, names []string) (missing []string) {
	for _, name := range names {
		status, err := r.output(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", name)
		if err != nil || status != "installed" {
			missing = append(missing, name)
		}
	}
	return missing
}

// aptGet asks nothing and starts no service: SYSTEMD_OFFLINE keeps systemctl,
// through which Debian's packages start theirs, from asking systemd. Without
// systemd it is for invoke-rc.d to refuse, and the search for leftovers to tell.
func (r *repo) aptGet(ctx context.Context, args ...string) error {
	cmd := r.command(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Env = append(cmd.Env, "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1", "NEEDRESTART_SUSPEND=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
