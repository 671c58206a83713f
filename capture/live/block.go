package live

import (
	"encoding/binary"
	"fmt"
)

// Where things are in a block of the ring and in the header of a packet:
// include/uapi/linux/if_packet.h, struct tpacket_block_desc and struct
// tpacket3_hdr, which a struct sockaddr_ll follows.
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16
	blockHeader = 48

	packetNext     = 0
	packetSeconds  = 4
	packetNanos    = 8
	packetKept     = 12
	packetWire     = 16
	packetStatus   = 20
	packetStart    = 24
	packetTCI      = 32
	packetTPID     = 36
	packetAddress  = 48
	addressKind    = packetAddress + 2 // the protocol
	addressIndex   = packetAddress + 4
	addressLink    = packetAddress + 8
	addressPacket  = packetAddress + 10
	addressLength  = packetAddress + 11
	addressBytes   = packetAddress + 12
	packetHeader   = packetAddress + 20
	sumNotReady    = 1 << 3 // TP_STATUS_CSUMNOTREADY
	tagPresent     = 1 << 4 // TP_STATUS_VLAN_VALID
	tagKindPresent = 1 << 6 // TP_STATUS_VLAN_TPID_VALID
)

// block reads the packets of a block.
type block struct {
	data  []byte
	at    int    // where the next packet's header begins
	count uint32 // packets
	read  uint32 // of them
}

// open begins with the first packet of a block that the kernel gave over.
func (b *block) open(data []byte) error {
	*b = block{data: data}
	if len(data) < blockHeader {
		return fmt.Errorf("read ring: a block of %d bytes has no room for its header", len(data))
	}
	first := binary.NativeEndian.Uint32(data[blockFirst:])
	b.count = binary.NativeEndian.Uint32(data[blockCount:])
	if b.count > 0 && (first < blockHeader || uint64(first) > uint64(len(data))) {
		b.count = 0
		return fmt.Errorf("read ring: the first packet begins at byte %d of a block of %d", first, len(data))
	}
	b.at = int(first)
	return nil
}

// next reads a packet into f, which then refers to the block; false after the
// last one. An error ends the block.
func (b *block) next(f *frame) (bool, error) {
	if b.read == b.count {
		return false, nil
	}
	rest := b.data[b.at:]
	if len(rest) < packetHeader {
		return false, b.damaged(fmt.Errorf("its header begins %d bytes before the end", len(rest)))
	}
	kept := binary.NativeEndian.Uint32(rest[packetKept:])
	start := int(binary.NativeEndian.Uint16(rest[packetStart:]))
	if start < packetHeader || start > len(rest) || uint64(kept) > uint64(len(rest)-start) {
		return false, b.damaged(fmt.Errorf("its %d bytes at %d do not fit into %d", kept, start, len(rest)))
	}
	if b.read++; b.read < b.count {
		next := binary.NativeEndian.Uint32(rest[packetNext:])
		if next < packetHeader || uint64(next) > uint64(len(rest)) {
			return false, b.damaged(fmt.Errorf("the next one is said to be %d bytes further", next))
		}
		b.at += int(next)
	}
	f.fill(rest, start, int(kept))
	return true, nil
}

func (b *block) damaged(err error) error {
	err = fmt.Errorf("read ring: packet %d of %d in a block: %w", min(b.read+1, b.count), b.count, err)
	b.read = b.count
	return err
}
