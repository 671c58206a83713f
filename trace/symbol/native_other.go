//go:build !amd64 && !arm64

package symbol

const native = otherArch
