package probe

import (
	"fmt"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// tooShort is an idle time within which few clients come to use a connection again.
const tooShort = time.Second

// advice says which side should be longer, and who is not.
func (h *HTTP) advice(k *Keeping, ok bool) []string {
	if h.Answer.Close && h.ClientIdle > 0 {
		return []string{fmt.Sprintf("A client with an idle limit of %s does no harm: it has no connection to keep.", Spell(h.ClientIdle))}
	}
	if h.Answer.Close || !ok {
		return nil
	}
	var text []string
	most := h.ClientAtMost()
	switch {
	case most > 0 && k.How == BySilence && !k.AtOnce:
		text = append(text, fmt.Sprintf("A client should give up a connection that was idle for %s, or sooner. One that waits longer may send a request on a connection that is lost, and wait in vain for the answer.", Spell(most)))
	case most > 0 && k.Found() && !k.AtOnce:
		text = append(text, fmt.Sprintf("The server should be the more patient side: a client should give up a connection that was idle for %s, or sooner. One that waits longer may send a request while the server ends the connection: an error, or a 502 behind a balancer.", Spell(most)))
	case most > 0:
		text = append(text, fmt.Sprintf("A client is on the safe side that gives up a connection which was idle for %s, or sooner.", Spell(most)))
	case k.Found() && !k.AtOnce && (h.asked() || k.Ended < tooShort):
		text = append(text, "That is too short for a client to use an idle connection again: a request may cross the end of its connection.")
	}
	if idle := h.ClientIdle; idle > 0 {
		switch h.Fits(idle) {
		case FitOK:
			text = append(text, fmt.Sprintf("A client with an idle limit of %s fits.", Spell(idle)))
		case FitTooLong:
			set := "set"
			if most > 0 {
				set = fmt.Sprintf("set it to %s or less, or", Spell(most))
			}
			text = append(text, fmt.Sprintf("A client with an idle limit of %s does not fit: %s the server's to more than %s.", Spell(idle), set, Spell(idle+time.Second)))
		case FitUnknown:
			text = append(text, fmt.Sprintf("Whether a client with an idle limit of %s fits cannot be told.", Spell(idle)))
		}
	}
	return append(text, h.usual(k)...)
}

// usual names clients by how they fit.
func (h *HTTP) usual(k *Keeping) []string {
	if !k.Found() || k.AtOnce {
		return nil
	}
	var fit, long []string
	for i := range Clients {
		c := &Clients[i]
		name := c.Name
		if c.Idle > 0 {
			name += " " + Spell(c.Of(h))
		} else {
			name += " without a limit"
		}
		switch h.Fits(c.Of(h)) {
		case FitOK:
			fit = append(fit, name)
		case FitTooLong:
			long = append(long, name)
		}
	}
	var text []string
	if len(long) > 0 {
		text = append(text, "With their defaults too patient for it: "+strings.Join(long, ", ")+".")
	}
	if len(fit) > 0 {
		text = append(text, "These fit: "+strings.Join(fit, ", ")+".")
	}
	return text
}

// Unknown says what the measurement cannot tell.
func (h *HTTP) Unknown() []string {
	k, ok := h.Keeping()
	var out []string
	if h.Stopped {
		out = append(out, "what would have come after it was broken off")
	}
	if h.Failed > 0 {
		out = append(out, fmt.Sprintf("what became of %s that could not be used: %s", vet.Counted(h.Failed, "connection"), h.Why))
	}
	switch {
	case h.Answer.Close:
	case ok && !k.Found() && !h.Stopped:
		out = append(out, fmt.Sprintf("a limit above %s: --most sets how far it looks", Spell(h.Most)))
	case k.How == BySilence:
		out = append(out, "whether the server, or something on the way, forgot the connection, or the server only answered late: tcpvet probe idle looks at the way")
	case k.How == ByRST:
		out = append(out, "whether the RST is the server's, or of something on the way: tcpvet probe idle looks at the way")
	}
	if k.Ended >= tooShort && !k.AtOnce && !h.Answer.Close && !h.asked() {
		out = append(out, "how long a client may leave a connection idle: none was asked before the end; measure again, and where connections could not be used, with fewer --connections")
	}
	if k.OnlyAsked && k.Found() {
		out = append(out, "where in between the limit lies: only requests showed it, and more --connections lie closer together")
	}
	if h.Answer.Protocol == "HTTP/2" {
		out = append(out, "what a client meets that speaks HTTP/1.1, as some of those named do: --http1 measures that")
	}
	if !h.Answer.Close {
		out = append(out, "whether a balancer in front, or the server behind it, has this limit; and whether it is shorter when the server has many connections")
	}
	return out
}

// Remedies are what to do about it.
func (h *HTTP) Remedies() []tcpvet.Remedy {
	if h.Answer.Close || h.ClientAtMost() == 0 || h.ClientIdle > 0 && h.Fits(h.ClientIdle) != FitTooLong {
		return nil
	}
	if k, ok := h.Keeping(); !ok || !k.Found() || k.AtOnce {
		return nil
	}
	return []tcpvet.Remedy{
		code(fmt.Sprintf("have the client give up an idle connection after %s at most, and try a request again that may be repeated", Spell(h.ClientAtMost())), "tcpvet explain fix"),
	}
}
