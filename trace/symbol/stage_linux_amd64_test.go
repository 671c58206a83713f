package symbol

import (
	"bufio"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// start runs a program until it says that it is ready and waits in recvfrom(2).
func start(t *testing.T, argv ...string) tcpvet.Process {
	t.Helper()
	return startCommand(t, exec.Command(argv[0], argv[1:]...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) tcpvet.Process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%v said %q: %v", cmd, line, err)
	}
	dir := filepath.Join("/proc", itoa(cmd.Process.Pid))
	began, ok := startOf(dir)
	if !ok {
		t.Fatalf("%s has no start time", dir)
	}
	return tcpvet.Process{PID: int32(cmd.Process.Pid), Start: began}
}

// take does for a waiting process what the kernel does for one that opens a socket:
// the instruction pointer and what frame pointers lead to, and words of the stack.
func take(t *testing.T, p tcpvet.Process, words int) Stack {
	t.Helper()
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	tid := waiting(t, p)
	if err := unix.PtraceSeize(tid); err != nil {
		t.Fatalf("ptrace: %v", err)
	}
	defer unix.PtraceDetach(tid)
	if err := unix.PtraceInterrupt(tid); err != nil {
		t.Fatalf("ptrace: %v", err)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(tid, &ws, unix.WALL, nil); err != nil {
		t.Fatalf("wait: %v", err)
	}
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		t.Fatalf("ptrace: %v", err)
	}
	q := &process{key: p, dir: "/proc/" + itoa(int(p.PID))}
	s := Stack{Addresses: []uint64{regs.Rip}}
	for fp := regs.Rbp; len(s.Addresses) < 127; {
		var b [16]byte
		if !q.memory(fp, b[:]) {
			break
		}
		next, ret := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
		if s.Addresses = append(s.Addresses, ret); next <= fp {
			break
		}
		fp = next
	}
	stack := make([]byte, 8*words)
	if words > 0 && q.memory(regs.Rsp, stack) {
		for ; len(stack) > 0; stack = stack[8:] {
			s.Words = append(s.Words, binary.LittleEndian.Uint64(stack))
		}
	}
	return s
}

// waiting gives the thread that waits in recvfrom(2).
func waiting(t *testing.T, p tcpvet.Process) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		tasks, _ := os.ReadDir("/proc/" + itoa(int(p.PID)) + "/task")
		for _, task := range tasks {
			b, _ := os.ReadFile("/proc/" + itoa(int(p.PID)) + "/task/" + task.Name() + "/syscall")
			if call, _, _ := strings.Cut(string(b), " "); call == itoa(syscall.SYS_RECVFROM) || call == "0" {
				tid, err := strconv.Atoi(task.Name())
				if err != nil {
					t.Fatal(err)
				}
				return tid
			}
		}
	}
	t.Fatalf("process %d does not wait in recvfrom", p.PID)
	return 0
}
