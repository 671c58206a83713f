// Package live captures packets from the interfaces of this machine, by a
// packet socket with a ring that the kernel fills (packet(7), TPACKET_V3 in
// Documentation/networking/packet_mmap.rst).
package live
