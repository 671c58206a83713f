package otelkeepalive

import (
	"net"
	"testing"

	"github.com/tcpvet/tcpvet/keepalive"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// read collects as an exporter does: values by name and error.type.
func read(t *testing.T, reader *sdk.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				why, _ := p.Attributes.Value("error.type")
				if service, ok := p.Attributes.Value("service"); !ok || service.AsString() != "crawler" {
					t.Errorf("%s lacks the attribute that was given", m.Name)
				}
				values[m.Name+why.AsString()] = p.Value
			}
		}
	}
	return values
}

func TestRegister(t *testing.T) {
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
	stats := new(keepalive.Stats)
	registration, err := Register(meter, stats, attribute.String("service", "crawler"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := keepalive.Dialer(keepalive.Options{Stats: stats, Budget: &keepalive.Budget{Ports: 3, FailFast: true}})
	var conns []net.Conn
	for range 3 {
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	conns[0].Close()
	for range 2 {
		if _, err := d.Dial("tcp", l.Addr().String()); err == nil {
			t.Fatal("a fourth port")
		}
	}
	if _, err := d.Dial("tcp", "127.0.0.1:0"); err == nil {
		t.Fatal("connected to port 0")
	}
	got := read(t, reader)
	for name, want := range map[string]int64{
		Open: 2, Dials: 3, Dials + BudgetExceeded: 2, Dials + PortsExhausted: 0, Dials + Other: 1, Waited: 0, Leaks: 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %d (%v), want %d", name, v, ok, want)
		}
	}
	if len(got) != 7 {
		t.Errorf("%v", got)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, reader); len(got) != 0 {
		t.Errorf("%v after Unregister", got)
	}
	if _, err := Register(meter, nil); err == nil {
		t.Error("no Stats, and no error")
	}
}
