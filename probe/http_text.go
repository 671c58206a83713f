package probe

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

// Text says what was measured and what follows, in sentences, the first by itself
// enough.
func (h *HTTP) Text() []string {
	var text []string
	say := func(format string, args ...any) { text = append(text, fmt.Sprintf(format, args...)) }
	k, ok := h.Keeping()
	switch {
	case h.Answer.Close:
		say("The server keeps no connection open: %s%s.", h.whyClosed(), h.closedAfter())
	case !ok:
		say("How long an idle connection is kept could not be measured%s.", h.soFar())
	default:
		text = append(text, h.kept(&k)...)
	}
	if line := h.announced(&k); line != "" {
		text = append(text, line)
	}
	text = append(text, h.requests()...)
	if h.Answer.Redirect() {
		say("The answer is a redirect to %s, which was not followed: what stands there may be another server.", vet.Plain(h.Answer.Location))
	}
	if h.Answer.Status >= 400 {
		say("%s", h.failed())
	}
	if h.Requests.Others > 0 {
		say("%s had another status than the first: the server may not give so many requests the same service.", vet.Counted(h.Requests.Others, "answer"))
	}
	return append(text, h.advice(&k, ok)...)
}

// failed says what an error as the answer means for what was measured.
func (h *HTTP) failed() string {
	text := fmt.Sprintf("The answer's status is %d, an error", h.Answer.Status)
	switch {
	case !h.Answer.Close:
		return text + "; but the connection was kept."
	case h.Answer.Status == 400 && h.Answer.TLS == "":
		return text + ": TLS may be what is spoken there, try https://. Some servers also close after an error what they keep else: give a URL that is answered with success."
	}
	return text + ", and some servers close after one what they keep else: give a URL that is answered with success."
}

func (h *HTTP) soFar() string {
	if h.Stopped {
		return ": it was broken off too early"
	}
	return ""
}

// whyClosed says what made the first answer the last.
func (h *HTTP) whyClosed() string {
	if h.Answer.Protocol == "HTTP/1.0" {
		return "it answers in HTTP/1.0, and without \"Connection: keep-alive\""
	}
	return "its answer says \"Connection: close\", or ends with the connection"
}

func (h *HTTP) closedAfter() string {
	for i := range h.Kept {
		switch k := &h.Kept[i]; {
		case k.Ended > 0:
			return fmt.Sprintf("; it ended it within %s, by %s", SpellUp(k.idle()), endingText(k.How, k.Status))
		default:
			return ", and yet it was still open some time later"
		}
	}
	return ""
}

// kept says how long idle connections are kept, and how they end.
func (h *HTTP) kept(k *Keeping) []string {
	var text []string
	say := func(format string, args ...any) { text = append(text, fmt.Sprintf(format, args...)) }
	survived, ended := Spell(k.Survived), SpellUp(k.Ended)
	switch {
	case !k.Found() && h.Stopped:
		say("Broken off: by then no idle connection had been closed, and a request after %s was still answered.", survived)
		return text
	case !k.Found():
		say("Idle connections were kept all the time: a request after %s was still answered. The limit, if there is one, is longer.", survived)
		return text
	case k.How == BySilence && k.Survived == 0:
		say("An idle connection is lost within %s: a request was no more answered, and nothing told of the end.", ended)
	case k.OnlyAsked && k.Survived == 0:
		say("An idle connection is closed within %s: a request was answered by %s, and nothing had told of the end before.", ended, endingText(k.How, k.Status))
	case k.How == BySilence:
		say("An idle connection is lost after more than %s and less than %s: after the one a request was still answered, after the other no more, and nothing told of the end.", survived, ended)
	case k.OnlyAsked:
		say("An idle connection is kept for more than %s and less than %s: after the one a request was still answered, after the other it was answered by %s, and nothing had told of the end before.", survived, ended, endingText(k.How, k.Status))
	case k.Survived == 0:
		say("An idle connection is closed within %s, by %s.", ended, endingText(k.How, k.Status))
	default:
		say("An idle connection is kept for %s: a request after %s was still answered, and after %s the server had ended one, by %s.", k.Enclosed(), survived, ended, endingText(k.How, k.Status))
	}
	if k.How == ByGoAway && k.Code != "" && k.Code != "NO_ERROR" {
		say("Its GOAWAY gives %s as the reason.", k.Code)
	}
	switch {
	case k.AtOnce:
		say("But connections of different ages ended at the same moment: their age was not why. The server, or what is in front of it, was restarted or reloaded, or it closes by a clock of its own. Measure again.")
	case k.FromOpening:
		say("That is counted from the opening: connections that were used in between ended at the same age. It limits the life of a connection, and not only its idle time.")
	case k.Longest > 0:
		say("Not every connection: another was kept for %s. It may be that several servers answer at this address, or that the server closes idle connections earlier when it has many.", Spell(k.Longest))
	}
	return text
}

// announced compares the Keep-Alive header with what was measured.
func (h *HTTP) announced(k *Keeping) string {
	hint := h.Answer.Hint
	if !hint.HasTimeout {
		return ""
	}
	told := fmt.Sprintf("It announces %d s (Keep-Alive: %s), ", hint.Timeout/time.Second, vet.Plain(hint.Text))
	switch h.Honest(k) {
	case HintTrue:
		return told + "which is true."
	case HintShort:
		return told + "and keeps them longer: a client that believes it is on the safe side."
	case HintLong:
		return told + "which is not true: a client that believes it sends requests on connections that are closed."
	}
	return told + "which could not be checked."
}

// Honesty is how an announced time compares with the measured one.
type Honesty uint8

// The honesties.
const (
	HintUnknown Honesty = iota
	HintTrue
	HintShort // connections are kept for longer
	HintLong  // connections are closed before
)

// String gives the word: "true", "shorter", "longer" than what is kept; "unknown".
func (y Honesty) String() string {
	return [...]string{"unknown", "true", "shorter", "longer"}[min(y, HintLong)]
}

// Honest compares the time that the server announces with what was measured.
func (h *HTTP) Honest(k *Keeping) Honesty {
	// Servers count in ticks, and some for a second longer than they say.
	const early, late = 20 * time.Millisecond, 500 * time.Millisecond
	hint := h.Answer.Hint
	switch {
	case !hint.HasTimeout || h.Answer.Close || k.AtOnce || k.Survived == 0 && !k.Found():
		return HintUnknown
	case k.Found() && hint.Timeout > k.Ended+early:
		return HintLong
	case hint.Timeout < k.Survived-late:
		return HintShort
	case k.Found():
		return HintTrue
	}
	return HintUnknown
}

// requests says how many requests a connection is given.
func (h *HTTP) requests() []string {
	r := &h.Requests
	max := ""
	if h.Answer.Hint.HasMax {
		max = fmt.Sprintf(" Its first answer announces max=%d.", h.Answer.Hint.Max)
	}
	n, limited := r.Limit()
	switch {
	case h.Answer.Close || r.Answered == 0 && r.Why == "":
		return nil
	case r.Why != "":
		return []string{fmt.Sprintf("A connection was given %s; then counting broke off: %s.%s", vet.Counted(r.Answered, "request"), r.Why, max)}
	case limited && r.Told:
		return []string{fmt.Sprintf("A connection is given %s: the last answer said so.%s", vet.Counted(n, "request"), max)}
	case limited:
		return []string{fmt.Sprintf("A connection is given %s, and then ended by %s without a word.%s", vet.Counted(n, "request"), r.How, max)}
	case r.Again > 0:
		return []string{fmt.Sprintf("One connection was ended after %s, another after %s: not by their number alone.%s", vet.Counted(r.Answered, "request"), vet.Count(r.Again), max)}
	}
	return []string{fmt.Sprintf("A connection is given more than %s, one after the other.%s", vet.Counted(r.Answered, "request"), max)}
}
