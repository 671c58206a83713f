package jsonv1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

const (
	// shortest is a millisecond, in seconds, to which limits are written.
	shortest = 0.001
	// largestProbes is far above what a hundred measurements take.
	largestProbes = 16 << 20
	// longestLimit is above every idle limit: RFC 5382 asks for two hours.
	longestLimit = 10 * 365 * 24 * time.Hour
)

// ReadProbes reads documents of tcpvet/probe/v1, at least one, one after the other.
func ReadProbes(r io.Reader) ([]Probe, error) {
	limited := &io.LimitedReader{R: r, N: largestProbes + 1}
	d := json.NewDecoder(limited)
	var all []Probe
	for {
		var p Probe
		err := d.Decode(&p)
		switch {
		case limited.N == 0:
			return nil, fmt.Errorf("read a measurement: more than %d MiB: this is no output of tcpvet probe", largestProbes>>20)
		case err == io.EOF && len(all) > 0:
			return all, nil
		case err == io.EOF:
			return nil, errors.New("read a measurement: there is nothing in it: make it with tcpvet probe … -o json")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("read a measurement: it ends in the middle of a document: it was cut")
		}
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("read a measurement: byte %d: %w: expected what tcpvet probe … -o json prints", e.Offset, err)
		}
		// A document of another schema is named, whatever its fields are.
		if p.Schema != ProbeSchema && (p.Schema != "" || err == nil) {
			return nil, fmt.Errorf("read a measurement: its schema is %q: expected %s, of tcpvet probe … -o json", p.Schema, ProbeSchema)
		}
		if err == nil {
			err = p.check()
		}
		if err != nil {
			return nil, fmt.Errorf("read a measurement: document %d: %w", len(all)+1, err)
		}
		all = append(all, p)
	}
}

// check tells what is wrong with what is read of the document.
func (p *Probe) check() error {
	switch p.Kind {
	case "http", "idle", "keepalive":
	default:
		return fmt.Errorf("its kind is %q: expected http, idle or keepalive", p.Kind)
	}
	_, err := p.Limits()
	return err
}

// Limits gives the limits that were measured; none where none was found. They are of
// the address and the port that were measured.
func (p *Probe) Limits() ([]tcpvet.PathLimit, error) {
	var limits []tcpvet.PathLimit
	add := func(kind tcpvet.LimitKind, field string, survived Float, ended *Float) error {
		if ended == nil {
			return nil
		}
		most := Float(longestLimit.Seconds())
		if survived < 0 || *ended < shortest || survived > *ended || *ended > most {
			return fmt.Errorf("%s: from %v to %v: expected rising times up to %.0f s", field, float64(survived), float64(*ended), float64(most))
		}
		limits = append(limits, tcpvet.PathLimit{Kind: kind, Safe: time.Duration(float64(survived) * 1e9), Idle: time.Duration(float64(*ended) * 1e9)})
		return nil
	}
	var err error
	if l := p.KeepAliveLimit; l != nil && !p.noLimit() {
		err = add(tcpvet.OfServer, "keep_alive_limit_s", l.Survived, l.Closed)
	}
	if l := p.IdleLimit; l != nil && err == nil && str(p.LostHow) != "server" {
		err = add(tcpvet.OnPath, "idle_limit_s", l.Survived, l.Lost)
	}
	if err != nil || len(limits) == 0 {
		return nil, err
	}
	remote, err := netip.ParseAddrPort(str(p.Remote))
	if err != nil {
		return nil, fmt.Errorf("remote %q: expected an address and a port, such as 10.0.3.7:8080", str(p.Remote))
	}
	taken, err := time.Parse(time.RFC3339, str(p.Taken))
	if err != nil || taken.IsZero() {
		return nil, fmt.Errorf("taken %q: expected a time, such as 2026-11-29T17:02:00Z", str(p.Taken))
	}
	addr := remote.Addr().Unmap().WithZone("")
	for i := range limits {
		limits[i].Remote, limits[i].Port, limits[i].Measured = netip.PrefixFrom(addr, addr.BitLen()), remote.Port(), taken
	}
	return limits, nil
}

// noLimit tells that what was ended was not ended for being idle after use: by its first
// answer, which said so; with all others at the same moment; or before anything was said,
// which may be the time to say who one is, or for a first request.
func (p *Probe) noLimit() bool {
	if p.HTTP != nil {
		return p.HTTP.ConnectionClose || p.HTTP.AtOnce
	}
	return p.Kind == "idle" && (p.WroteBytes == nil || *p.WroteBytes == 0)
}

// EndedOtherwise tells that connections were seen to end, and Limits leaves that out.
func (p *Probe) EndedOtherwise() bool {
	return p.KeepAliveLimit != nil && p.KeepAliveLimit.Closed != nil && p.noLimit()
}
