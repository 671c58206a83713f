package jsonv1

import (
	"bytes"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Diagnosis is the document of tcpvet/diagnosis/v1.
type Diagnosis struct {
	Schema     string    `json:"schema"`
	Taken      *string   `json:"taken"`
	Host       string    `json:"host"`
	Source     string    `json:"source"`
	Sockets    uint64    `json:"sockets"`
	Changed    uint64    `json:"sockets_changed"` // seen to change during the look
	Namespaces int       `json:"namespaces"`
	Findings   []Finding `json:"findings"`
	Skipped    []Skipped `json:"skipped"`
	Gaps       []Gap     `json:"gaps"`
}

// Finding is one finding.
type Finding struct {
	Rule      string     `json:"rule"`
	Severity  string     `json:"severity"`
	Certainty string     `json:"certainty"`
	Kind      *string    `json:"kind"`
	Since     *string    `json:"since"`
	Coverage  string     `json:"coverage"`
	Subject   Subject    `json:"subject"`
	Title     string     `json:"title"`
	Detail    []string   `json:"detail"`
	Numbers   Numbers    `json:"numbers"`
	Evidence  []Evidence `json:"evidence"`
	Remedies  []Remedy   `json:"remedies"`
}

// Subject is what a finding is about.
type Subject struct {
	Netns     Netns      `json:"netns"`
	Processes []Process  `json:"processes"`
	Container *Container `json:"container"`
	Service   *string    `json:"service"`
	Local     *string    `json:"local"`
}

// Numbers prints as an object, in order.
type Numbers []tcpvet.Number

// Evidence is one piece of evidence.
type Evidence struct {
	What  string `json:"what"`
	Got   string `json:"got"`
	Check string `json:"check"`
}

// Remedy is one remedy.
type Remedy struct {
	Kind    string  `json:"kind"`
	Command *string `json:"command"`
	Text    string  `json:"text"`
	Risk    string  `json:"risk"`
}

// Skipped is a rule that was not judged.
type Skipped struct {
	Rule    string   `json:"rule"`
	Missing []string `json:"missing"`
}

// MarshalJSON prints an object, its members in the order of n.
func (n Numbers) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := member(&b, x.Name, Float(x.Value)); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// DiagnosisOf gives the document of a diagnosis.
func DiagnosisOf(c *tcpvet.Census, r vet.Report) Diagnosis {
	l := InCensus(c)
	d := Diagnosis{
		Schema: DiagnosisSchema, Taken: Time(c.Taken), Host: c.Host.Name, Source: c.Source,
		Sockets: c.Sockets, Changed: c.Changed, Namespaces: len(c.Netns),
		Findings: make([]Finding, 0, len(r.Findings)), Skipped: make([]Skipped, 0, len(r.Skipped)), Gaps: Gaps(c.Gaps),
	}
	for i := range r.Findings {
		d.Findings = append(d.Findings, l.findingOf(&r.Findings[i]))
	}
	for _, s := range r.Skipped {
		d.Skipped = append(d.Skipped, Skipped{Rule: s.Rule, Missing: s.Missing.Words()})
	}
	return d
}

// TrafficDiagnosisOf gives the document of a diagnosis of captures.
func TrafficDiagnosisOf(t *tcpvet.Traffic, host string, r vet.Report) Diagnosis {
	return DiagnosisOf(&tcpvet.Census{
		Taken: t.To, Source: t.Source, Host: tcpvet.Host{Name: host}, Gaps: t.Gaps,
	}, r)
}

func (l Lookup) findingOf(f *tcpvet.Finding) Finding {
	title, detail := sentences(f)
	out := Finding{
		Rule: f.Rule, Severity: f.Severity.String(), Certainty: f.Certainty.String(), Kind: text(f.Kind),
		Coverage: f.Coverage.String(), Title: title, Detail: detail, Numbers: f.Numbers,
		Subject: Subject{
			Netns: l.NetnsOf(f.Subject.Netns), Processes: l.ProcessesOf(f.Subject.Processes), Container: ContainerOf(f.Subject.Container),
		},
		Evidence: make([]Evidence, 0, len(f.Evidence)), Remedies: remediesOf(f.Remedies),
	}
	if f.Since != nil {
		out.Since = Time(*f.Since)
	}
	if f.Subject.Service.IsValid() {
		s := Endpoint(f.Subject.Service)
		out.Subject.Service = &s
	} else if f.Subject.Services > 1 {
		s := Other
		out.Subject.Service = &s
	}
	if f.Subject.Local.IsValid() {
		s := f.Subject.Local.String()
		out.Subject.Local = &s
	}
	for _, e := range f.Evidence {
		out.Evidence = append(out.Evidence, Evidence(e))
	}
	return out
}

// remediesOf gives the shapes of remedies, an empty list for none.
func remediesOf(rs []tcpvet.Remedy) []Remedy {
	out := make([]Remedy, 0, len(rs))
	for _, r := range rs {
		out = append(out, Remedy{Kind: r.Kind().String(), Command: text(r.Command()), Text: r.String(), Risk: r.Risk().String()})
	}
	return out
}

// sentences gives a title that stands by itself, as in an alert: who and where,
// then the first sentence; and the other sentences.
func sentences(f *tcpvet.Finding) (title string, detail []string) {
	title = strings.Join(strings.Fields(f.Title), " ")
	if len(f.Detail) == 0 {
		return title, []string{}
	}
	return title + ": " + f.Detail[0], f.Detail[1:]
}
