package tcpvet

// Container is what a process runs in.
type Container struct {
	ID      string // as the runtime gives it, mostly 64 hexadecimal digits
	Name    string // "" where the runtime does not leave it readable
	Runtime string // docker, containerd, cri-o, podman, lxc, systemd-nspawn, or "" where the path does not tell
	Pod     string // Kubernetes pod: its name, or its UID where the name is not readable
}

// ShortID gives the first twelve characters of the ID, as runtimes print it.
func (c *Container) ShortID() string {
	if len(c.ID) > 12 {
		return c.ID[:12]
	}
	return c.ID
}
