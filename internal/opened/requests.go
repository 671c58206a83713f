package opened

import (
	"context"
	"net/http"
	"net/http/httptrace"
)

// carryKey is where a context carries the Stack of who made the request.
type carryKey struct{}

func carriedBy(ctx context.Context) *Stack {
	s, _ := ctx.Value(carryKey{}).(*Stack)
	return s
}

// Carries tells whether a context carries who made the request.
func Carries(ctx context.Context) bool { return carriedBy(ctx) != nil }

// With gives the context of a dial that carries s, for a hook that learned otherwise
// who made the request.
func With(ctx context.Context, s *Stack) context.Context {
	return context.WithValue(ctx, carryKey{}, s)
}

// Carry gives a request whose context carries who made it, without the innermost skip
// calls: to the dial that it may cause, which net/http does in a goroutine of its own,
// and to the connection that it is given (Conn.User). A request that carries one is
// given back as it is.
func Carry(req *http.Request, skip int) *http.Request {
	ctx := req.Context()
	if carriedBy(ctx) != nil {
		return req
	}
	s := Callers(skip + 1)
	trace := s.trace
	if httptrace.ContextClientTrace(ctx) != nil {
		own := *trace // WithClientTrace writes the hooks of the outer one into it
		trace = &own
	}
	return req.WithContext(httptrace.WithClientTrace(context.WithValue(ctx, carryKey{}, s), trace))
}

// Requests makes t itself carry who makes a request, while want says so. It is for
// plain HTTP: for https net/http's HTTP/2 stands where this would have to. A Clone of t
// does not carry. Requests is false where something is registered for http already.
func Requests(t *http.Transport, want func() bool) (ok bool) {
	defer func() {
		// That is how RegisterProtocol says no, and all that it can say.
		if recover() != nil {
			ok = false
		}
	}()
	t.RegisterProtocol("http", &requests{t, want})
	return true
}

// requests stands before a Transport, in the goroutine that made the request.
type requests struct {
	transport *http.Transport
	want      func() bool
}

// RoundTrip sends the request through the same transport once more, carrying, and steps
// aside for what it meets again.
func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	if !r.want() || carriedBy(req.Context()) != nil {
		return nil, http.ErrSkipAltProtocol
	}
	resp, err := r.transport.RoundTrip(Carry(req, 1))
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}
