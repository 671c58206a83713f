package tcpvet

import (
	"math/bits"
	"time"
)

// histogramBuckets covers what tcp_info can say: 32 bits of milliseconds.
const histogramBuckets = 34

// Histogram counts durations by their power of two in milliseconds. Bucket 0
// holds those under 1 ms, bucket k those from 2^(k-1) to under 2^k ms.
type Histogram [histogramBuckets]uint32

// Add counts d.
func (h *Histogram) Add(d time.Duration) { h[bucketOf(d)]++ }

func bucketOf(d time.Duration) int {
	return min(bits.Len64(uint64(max(d.Milliseconds(), 0))), histogramBuckets-1)
}

// Total is how many were counted.
func (h *Histogram) Total() uint64 {
	var n uint64
	for _, c := range h {
		n += uint64(c)
	}
	return n
}

// AtLeast is how many are surely d or longer: those of the buckets that lie
// wholly at or past d. It leaves out those in d's own bucket, so the edge in
// force is the first power of two of milliseconds that is not below d.
func (h *Histogram) AtLeast(d time.Duration) uint64 {
	first := bucketOf(d)
	if first > 0 && bucketStart(first) < d {
		first++
	}
	var n uint64
	for k := first; k < histogramBuckets; k++ {
		n += uint64(h[k])
	}
	return n
}

// Edge is the duration from which AtLeast(d) counts: d, or the next power of
// two of milliseconds.
func (h *Histogram) Edge(d time.Duration) time.Duration {
	first := bucketOf(d)
	if first > 0 && bucketStart(first) < d {
		first++
	}
	return bucketStart(first)
}

func bucketStart(k int) time.Duration {
	if k == 0 {
		return 0
	}
	return time.Duration(1<<(k-1)) * time.Millisecond
}

// Merge adds o's counts to h's.
func (h *Histogram) Merge(o *Histogram) {
	for k, c := range o {
		h[k] += c
	}
}
