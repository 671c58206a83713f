package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// moves are the fields that time moves on between two looks, or that say which look
// it was.
var moves = []string{
	"taken", "source", "age_ms", "expires_ms", "since", "title", "numbers", "evidence", "rate_per_s", "exhausted_in_s",
	"last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms",
}

// still gives the lines of a JSON answer without what moves, in an order of their
// own.
func still(t *testing.T, out string) (lines []string) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		line, err := json.Marshal(withoutMoving(v))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines
}

func withoutMoving(v any) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(name string, _ any) bool { return slices.Contains(moves, name) })
		for name := range v {
			v[name] = withoutMoving(v[name])
		}
	case []any:
		v = slices.DeleteFunc(v, unreadable)
		for i := range v {
			v[i] = withoutMoving(v[i])
		}
		return v
	}
	return v
}

// unreadable tells that v is a gap about descriptors that not even root may read
// here: bpf does not read them.
func unreadable(v any) bool {
	gap, ok := v.(map[string]any)
	return ok && gap["what"] == "holders" && gap["needs"] != nil
}

// Every verb answers the same by bpf and by netlink.
func TestRootVerbsAgree(t *testing.T) {
	kerneltest.Root(t)
	for _, probe := range []func() error{kernel.BTF, kernel.BPFIterators, kernel.BPFReadsMemory} {
		kerneltest.Need(t, probe)
	}
	kerneltest.Netns(t)
	tcpvet := binary(t)
	stageStates(t)
	for _, args := range []string{
		"count -o json",
		"count -o json --by process,state,service,role,local",
		"count -o json --by container,netns state close-wait",
		"count -o json --by process,state --pid " + strconv.Itoa(os.Getpid()),
		"budget -o json",
		"budget -o json --pid " + strconv.Itoa(os.Getpid()),
		"ls -o jsonl",
		"ls -o jsonl state time-wait or state fin-wait-2",
		"diagnose -o json --patience 1ms",
	} {
		words := append(strings.Fields(args), "--netns", "self", "--source")
		netlink, status := run(t, tcpvet, append(slices.Clone(words), "netlink")...)
		bpf, same := run(t, tcpvet, append(slices.Clone(words), "bpf")...)
		a, b := still(t, netlink), still(t, bpf)
		if len(a) == 0 || !strings.Contains(netlink, `"netlink"`) && !strings.HasPrefix(args, "ls") && !strings.HasPrefix(args, "budget") {
			t.Errorf("%s: netlink answered %s", args, netlink)
		}
		if diff := cmp.Diff(a, b); diff != "" || status != same {
			t.Errorf("%s: exit status %d by netlink (-), %d by bpf (+)\n%s", args, status, same, diff)
		}
	}
}
