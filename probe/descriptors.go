package probe

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// atLimit tells that the process in whose place this was tried has no descriptor
// left, whatever became of the attempt.
func (j *judgement) atLimit() bool {
	i := j.info()
	return j.Process.Known() && i.DescriptorLimit > 0 && i.Descriptors >= i.DescriptorLimit
}

func (j *judgement) descriptors() Verdict {
	i := j.info()
	v := Verdict{Cause: tcpvet.CauseDescriptorLimit, Text: []string{
		fmt.Sprintf("A socket() of %s would fail with %s: it has %s, and its limit is %s.",
			vet.ProgramText(j.Census, j.Process), EMFILE, vet.Counted(i.Descriptors, "descriptor"), vet.Count(i.DescriptorLimit)),
		fmt.Sprintf("%s of them are sockets.", vet.Count(i.Sockets)),
	}}
	if j.Connected() {
		v.Text = append(v.Text, "The path is not at fault: tcpvet, which has descriptors, did connect from there.")
	}
	j.seeDescriptors(&v)
	return v
}

// seeDescriptors shows what the process has of descriptors, and what helps.
func (j *judgement) seeDescriptors(v *Verdict) {
	i := j.info()
	if i.Descriptors > 0 {
		v.Evidence = append(v.Evidence, tcpvet.Evidence{What: "descriptors in use", Got: vet.Count(i.Descriptors), Check: fmt.Sprintf("ls /proc/%d/fd | wc -l", j.Process.PID)})
	}
	if i.DescriptorLimit > 0 {
		v.Evidence = append(v.Evidence, tcpvet.Evidence{What: "the limit", Got: vet.Count(i.DescriptorLimit), Check: fmt.Sprintf("awk '/open files/ {print $4}' /proc/%d/limits", j.Process.PID)})
	}
	v.Remedies = []tcpvet.Remedy{
		advise("see what the sockets among them are: CLOSE-WAIT is a leak in the program, which a higher limit only delays",
			fmt.Sprintf("tcpvet count --pid %d --by state", j.Process.PID)),
		code("close what the peer has closed", vet.FixTopic(i)),
	}
}

// noDescriptor is about an attempt that the limit of the one who tried, or that of
// the machine, ended.
func (j *judgement) noDescriptor() Verdict {
	if j.Errno == ENFILE {
		v := j.verdict(tcpvet.CauseDescriptorLimit, "the whole machine has no file left (fs.file-max), so nothing was sent.")
		v.Remedies = []tcpvet.Remedy{advise("see how many files are open, and how many may be", j.run("sysctl -n fs.file-nr")), advise("see who holds them", "tcpvet explain EMFILE")}
		return v
	}
	if j.Seen == nil {
		v := j.verdict(tcpvet.CauseDescriptorLimit, "tcpvet itself has no descriptor left, so nothing was sent.")
		v.Remedies = []tcpvet.Remedy{advise("a program with the same limit fails likewise: see who holds descriptors", "tcpvet explain EMFILE")}
		return v
	}
	who, limit := "the process", ""
	if j.Process.Known() {
		who = vet.ProgramText(j.Census, j.Process)
	}
	i := j.info()
	if i.DescriptorLimit > 0 {
		limit = fmt.Sprintf("; its limit is %s", vet.Count(i.DescriptorLimit))
	}
	v := j.verdict(tcpvet.CauseDescriptorLimit, "%s had no descriptor left%s.", who, limit)
	if i.Descriptors > 0 {
		v.Text = append(v.Text, fmt.Sprintf("%s found it with %s, of which %s are sockets.", j.later(), vet.Counted(i.Descriptors, "descriptor"), vet.Count(i.Sockets)))
	}
	if j.Step == StepAccept {
		v.Text = append(v.Text, "Connections wait in the accept queue meanwhile; once it is full their clients see no answer.")
	}
	if j.Process.Known() {
		j.seeDescriptors(&v)
	} else {
		v.Remedies = []tcpvet.Remedy{advise("see who holds descriptors", "tcpvet explain EMFILE")}
	}
	return v
}
