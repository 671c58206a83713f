// Package otelkeepalive gives what package keepalive counts to OpenTelemetry. It is a
// module of its own, so that keepalive needs nothing of OpenTelemetry.
//
//	stats := new(keepalive.Stats)
//	client := &http.Client{Transport: keepalive.Transport(keepalive.Options{TrackLeaks: true, Stats: stats})}
//	registration, err := otelkeepalive.Register(otel.Meter("example.org/crawler"), stats)
package otelkeepalive

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet/keepalive"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The instruments. Their names have the prefix of this project, as OpenTelemetry asks
// of what is not in its semantic conventions; the attribute error.type is of those.
const (
	Open   = "tcpvet.keepalive.connections.open" // {connection}: not closed by this program
	Dials  = "tcpvet.keepalive.dials"            // {dial}: ended; error.type where it failed
	Waited = "tcpvet.keepalive.dials.waited"     // {dial}: held back by the Budget, then let go on
	Leaks  = "tcpvet.keepalive.leaks"            // {connection}: told of by TrackLeaks
)

// The values of error.type, and that of the conventions for any other failure.
const (
	BudgetExceeded = "budget_exceeded"
	PortsExhausted = "ports_exhausted"
	Other          = "_OTHER"
)

// Register has the meter read stats at each collection, with the attributes added to
// each value. Unregister of what it returns ends that.
func Register(meter metric.Meter, stats *keepalive.Stats, attributes ...attribute.KeyValue) (metric.Registration, error) {
	if meter == nil || stats == nil {
		return nil, errors.New("register keepalive metrics: the meter and the Stats must be given; put the same Stats into keepalive.Options")
	}
	open, err1 := meter.Int64ObservableUpDownCounter(Open, metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that this program has not closed."))
	dials, err2 := meter.Int64ObservableCounter(Dials, metric.WithUnit("{dial}"),
		metric.WithDescription("Dials that ended; error.type says why one failed."))
	waited, err3 := meter.Int64ObservableCounter(Waited, metric.WithUnit("{dial}"),
		metric.WithDescription("Dials that the budget of local ports held back and let go on."))
	leaks, err4 := meter.Int64ObservableCounter(Leaks, metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that the peer closed and this program kept."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("register keepalive metrics: %w", err)
	}
	all := metric.WithAttributes(attributes...)
	failed := func(why string) metric.MeasurementOption {
		return metric.WithAttributes(append(attributes[:len(attributes):len(attributes)], attribute.String("error.type", why))...)
	}
	exceeded, exhausted, other := failed(BudgetExceeded), failed(PortsExhausted), failed(Other)
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		n := stats.Read()
		o.ObserveInt64(open, int64(n.Open), all)
		o.ObserveInt64(dials, n.Opened, all)
		o.ObserveInt64(dials, n.BudgetExceeded, exceeded)
		o.ObserveInt64(dials, n.PortsExhausted, exhausted)
		// They are read one after the other.
		o.ObserveInt64(dials, max(0, n.Failed-n.BudgetExceeded-n.PortsExhausted), other)
		o.ObserveInt64(waited, n.Waited, all)
		o.ObserveInt64(leaks, n.Leaks, all)
		return nil
	}, open, dials, waited, leaks)
}
