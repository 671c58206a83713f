// Package recording reads packets on disk: pcap and pcapng, plain or
// compressed, and the lines that tcpdump printed. It also writes pcap.
//
// Whatever the bytes, a Reader gives what is readable, then says where and why
// it stopped, and holds no more of the file than its longest packet.
package recording
