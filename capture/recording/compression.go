package recording

import (
	"bytes"
	"errors"
	"fmt"

	"compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxLayers is how many compressions may lie around each other.
	maxLayers = 2
	// zstdMemory bounds the window that a zstd file may ask for, in bytes:
	// "zstd -19" asks for 8 MiB, "--long" for 128 MiB.
	zstdMemory = 128 << 20
)

var errLayers = errors.New("it is compressed more than twice: decompress it first")

// unwrap goes through the compressions that the first bytes tell of. It names
// them, outermost last, each after a comma.
func unwrap(w **window, closer *func()) (names string, err error) {
	for layer := 0; ; layer++ {
		head, _ := (*w).peek(4)
		name := ""
		switch {
		case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
			name = "gzip"
		case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
			name = "zstd"
		default:
			return names, nil
		}
		if layer == maxLayers {
			return "", errLayers
		}
		var inner *window
		if name == "gzip" {
			z, err := gzip.NewReader(*w)
			if err != nil {
				return "", fmt.Errorf("decompress gzip: %w", err)
			}
			inner = newWindow(z)
		} else {
			z, err := zstd.NewReader(*w, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(zstdMemory))
			if err != nil {
				return "", fmt.Errorf("decompress zstd: %w", err)
			}
			before := *closer
			*closer = func() { z.Close(); before() }
			inner = newWindow(z)
		}
		inner.compressed = true
		*w, names = inner, ", "+name+names
	}
}
