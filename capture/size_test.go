package capture

import (
	"testing"
	"unsafe"
)

// 100,000 conversations are to fit into 200 MB, with their table and with what
// is being told of some.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(conversation{}); n > 1152 {
		t.Errorf("a conversation takes %d bytes, more than 1152; an end takes %d", n, unsafe.Sizeof(end{}))
	}
}
