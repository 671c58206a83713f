package probe

import (
	"net/http"
	"slices"
	"testing"
)

// What is said of Go's default client is what it has.
func TestGoClient(t *testing.T) {
	i := slices.IndexFunc(Clients[:], func(c Client) bool { return c.Name == "Go http.DefaultTransport" })
	if want := http.DefaultTransport.(*http.Transport).IdleConnTimeout; i < 0 || Clients[i].Idle != want {
		t.Errorf("listed as %+v, it is %s", Clients[max(i, 0)], want)
	}
}
