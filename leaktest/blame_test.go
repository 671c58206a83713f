package leaktest

import (
	"net"
	"runtime"
	"testing"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// named is a test that only has a name.
type named struct {
	testing.TB
	name string
}

func (n named) Name() string { return n.name }

// stack makes calls, innermost first, of functions in a package's test files.
func stack(functions ...string) (frames []runtime.Frame) {
	for _, f := range functions {
		file := "/src/app/app_test.go"
		if f == "testing.tRunner" {
			file = "/go/src/testing/testing.go"
		}
		frames = append(frames, runtime.Frame{Function: f, File: file})
	}
	return append(frames, runtime.Frame{Function: "runtime.goexit", File: "/go/src/runtime/asm_amd64.s"})
}

func TestTestOf(t *testing.T) {
	for _, test := range []struct {
		frames []runtime.Frame
		name   string
		inTest bool
	}{
		{stack("app.get", "app.TestGet", "testing.tRunner"), "TestGet", true},
		{stack("app.get", "app.TestGet.func1.2", "testing.tRunner"), "TestGet", true},
		{stack("example.com/v2.x/app.TestGet.func1"), "TestGet", false},
		{stack("app.BenchmarkGet[...]", "testing.(*B).runN"), "BenchmarkGet", false},
		// The outermost is whose test it is: a suite may call another's.
		{stack("suite.TestAll", "app.TestGet", "testing.tRunner"), "TestGet", true},
		{stack("app.Testify", "app.worker"), "", false},
		{stack("app.(*Suite).TestGet", "suite.Run.func1", "testing.tRunner"), "", true},
		{nil, "", false},
		{[]runtime.Frame{{Function: "app.TestConnection", File: "/src/app/app.go"}}, "", false}, // no test's file
	} {
		if name, inTest := testOf(test.frames); name != test.name || inTest != test.inTest {
			t.Errorf("%v: got %q, %v, want %q, %v", test.frames, name, inTest, test.name, test.inTest)
		}
	}
}

func TestByFrames(t *testing.T) {
	for _, test := range []struct {
		name     string
		frames   []runtime.Frame
		parallel bool
		want     verdict
	}{
		{"TestA", stack("app.TestA", "testing.tRunner"), true, mine},
		{"TestA", stack("app.TestA.func1"), true, mine},
		{"TestA", stack("app.TestB", "testing.tRunner"), true, others},
		{"TestA", stack("app.TestB.func1"), true, others},
		{"TestA", stack("app.worker"), true, unsure},
		// All subtests of a test have its name.
		{"TestA/one", stack("app.TestA.func1", "testing.tRunner"), true, unsure},
		{"TestA/one", stack("app.TestB", "testing.tRunner"), true, others},
		// A test alone: its stack may name another's function that it runs, but a
		// goroutine of another test is that one's.
		{"TestA", stack("app.TestB", "testing.tRunner"), false, unsure},
		{"TestA", stack("app.TestB.func1"), false, others},
		{"TestA", stack("app.worker"), false, unsure},
	} {
		c := &check{t: named{name: test.name}}
		if got := c.byFrames(test.frames, test.parallel); got != test.want {
			t.Errorf("%s, parallel %v, %v: got %d, want %d", test.name, test.parallel, test.frames[0].Function, got, test.want)
		}
	}
}

func TestByGoroutine(t *testing.T) {
	const me, parent, other = 1 << 60, 1<<60 + 1, 1<<60 + 2
	checked.add(me)
	checked.add(other)
	c := &check{goroutine: me, parent: parent}
	for _, test := range []struct {
		id, parent uint64
		want       verdict
	}{
		{me, parent, mine},
		{77, me, mine},
		{parent, 5, others},
		{77, parent, others},
		{other, parent, others},
		{77, other, others},
		{77, 78, unsure},
		{0, 0, unsure},
	} {
		if got := c.byGoroutine(test.id, test.parent); got != test.want {
			t.Errorf("goroutine %d of %d: got %d, want %d", test.id, test.parent, got, test.want)
		}
	}
}

// A connection that another test's request was given last is that test's, whoever opened
// it.
func TestJudgeShared(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var own opened.Book
	const me = 1<<60 + 3
	left := &leak{socket: &socket{}, entry: &entry{conn: opened.Note(t.Context(), conn, "test", 0, &own), goroutine: me}}
	c := &check{t: named{name: "TestOther"}, goroutine: me}
	if got := c.judge(left, true); got != mine {
		t.Errorf("what its goroutine opened: got %d, want %d", got, mine)
	}
	opened.Use(conn, opened.Callers(0)) // a request of this test
	if got := c.judge(left, true); got != others {
		t.Errorf("what another test's request has: got %d, want %d", got, others)
	}
}

// While the pool of the default transport cannot be emptied, what may be idle in it does
// not count. A CLOSE-WAIT is not idle there: net/http closes when the peer does.
func TestVerdictBesidePool(t *testing.T) {
	alone := false
	c := &check{t: named{name: "TestA"}, crowd: &alone}
	for _, test := range []struct {
		hook, state string
		use         use
		emptied     bool
		want        verdict
	}{
		{defaultName, "ESTAB", useIdle, false, others},
		{defaultName, "ESTAB", useShared, false, unsure},
		{defaultName, "ESTAB", useUnknown, false, unsure},
		{defaultName, "ESTAB", useBody, false, mine},
		{defaultName, "ESTAB", useUnderWay, false, mine},
		{defaultName, stateCloseWait, useUnknown, false, mine},
		{defaultName, stateCloseWait, useShared, false, mine},
		{defaultName, "ESTAB", useIdle, true, mine},
		{"http.Transport", "ESTAB", useIdle, false, mine},
	} {
		l := &leak{socket: &socket{state: test.state}, entry: &entry{conn: &opened.Conn{Hook: test.hook}}, use: test.use}
		if got := c.verdict(l, test.emptied); got != test.want || (got == unsure) != (l.doubt != "") {
			t.Errorf("%+v: got %d, doubt %q", test, got, l.doubt)
		}
	}
}

// Setenv, which this rests on, has to go on telling.
func TestParallel(t *testing.T) {
	if parallel(t) {
		t.Error("a test alone is said to be parallel")
	}
	// Setenv forbids it to this test from now on, not to others.
	t.Run("not", func(t *testing.T) {
		if parallel(t) {
			t.Error("a subtest alone is said to be parallel")
		}
	})
}

func TestParallelIs(t *testing.T) {
	t.Parallel()
	if !parallel(t) {
		t.Error("a parallel test is said to be alone")
	}
	t.Run("child", func(t *testing.T) {
		if !parallel(t) {
			t.Error("a child of a parallel test is said to be alone")
		}
	})
}
