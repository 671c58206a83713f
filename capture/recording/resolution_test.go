package recording

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// Times are what exact arithmetic says, up to the last that an int64 holds.
func TestResolution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := resolution{
			binary:   rapid.Bool().Draw(t, "binary"),
			exponent: rapid.Uint8Max(127).Draw(t, "exponent"),
			offset:   rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-1<<33, 1<<33)).Draw(t, "offset"),
		}
		units := rapid.Uint64().Draw(t, "units")
		base := int64(10)
		if r.binary {
			base = 2
		}
		want := new(big.Int).Mul(new(big.Int).SetUint64(units), big.NewInt(1e9))
		want.Quo(want, new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(r.exponent)), nil))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		want.Add(want, new(big.Int).Mul(big.NewInt(r.offset), big.NewInt(1e9)))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got := r.nanoseconds(units); got != want.Int64() {
			t.Fatalf("%+v of %d units: %d, want %s", r, units, got, want)
		}
	})
	for _, offset := range []int64{math.MinInt64, math.MaxInt64} {
		r := resolution{exponent: 6, offset: offset}
		if got := r.nanoseconds(5); (got > 0) != (offset > 0) {
			t.Errorf("offset %d: %d", offset, got)
		}
	}
}
