# Programs that open, accept, keep and close TCP sockets as they are told, for stages of
# scripts; and what these ask of the kernel and of tcpvet.
import atexit, json, os, socket, subprocess, sys, time

children = []
atexit.register(lambda: [c.kill() for c in children])

PROGRAM = """
import os, socket, sys
held = []
for line in sys.stdin:
    word, *args = line.split()
    if word == "listen":
        l = socket.socket()
        l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        l.bind((args[0], int(args[1])))
        l.listen(int(args[2]) if args[2:] else 100)
        print("ok", flush=True)
    elif word == "accept":
        for _ in range(int(args[0])):
            held.append(l.accept()[0])
        print("ok", flush=True)
    elif word == "close":
        for s in held:
            s.close()
        held = []
        print("ok", flush=True)
    elif word == "connect":
        failed = 0
        for _ in range(int(args[2])):
            s = socket.socket()
            try:
                s.connect((args[0], int(args[1])))
                held.append(s)
            except OSError as e:
                failed = e.errno
                s.close()
        print(failed, *[s.getsockname()[1] for s in held], flush=True)
    elif word == "write":
        for s in held:
            s.send(b"x")
        print("ok", flush=True)
    elif word == "sockets":
        print(sum(os.readlink("/proc/self/fd/" + f).startswith("socket:") for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)), flush=True)
"""

class Program:
    def __init__(self, *enter):
        self.run = subprocess.Popen([*enter, "python3", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(self.run)
        self.pid = self.run.pid

    def do(self, *words):
        self.tell(*words)
        return self.hear()

    def tell(self, *words):
        self.run.stdin.write(" ".join(map(str, words)) + "\n")
        self.run.stdin.flush()

    def hear(self):
        return self.run.stdout.readline().split()

    def end(self):
        self.run.stdin.close()
        return self.run.wait()

def ss(*args):
    return subprocess.run(["ss", "-Htn", *args], capture_output=True, text=True, check=True).stdout.splitlines()

def count(state, *filter):
    return len(ss("state", state, *filter))

def wait(holds):
    end = time.time() + 60
    while not holds():
        assert time.time() < end, "the kernel never came to it"
        time.sleep(0.02)

def timers(*filter):
    # of how many sockets that are selected ss shows a keepalive timer
    return sum("timer:(keepalive," in l for l in ss("-o", *filter))

def rest(line):
    # the seconds that ss says a keepalive timer runs for: "29sec", "1min3sec", "9.860ms" are
    # 9 s 860 ms, "860ms"
    text = line.split("timer:(keepalive,")[1].split(",")[0]
    minutes, _, text = text.rpartition("min")
    n = float(text.rstrip("msec") or 0)
    return 60 * int(minutes or 0) + (n if "." in text or "sec" in text else n / 1000)

def child(pid):
    # whichever thread has begun it
    all = [c for t in os.listdir("/proc/%d/task" % pid) for c in open("/proc/%d/task/%s/children" % (pid, t)).read().split()]
    assert len(all) == 1, all
    return int(all[0])

def tcpvet(*args, prefix=()):
    r = subprocess.run([*prefix, "tcpvet", *map(str, args)], capture_output=True, text=True, timeout=120)
    if r.stderr:
        sys.stderr.write(r.stderr)
    return r.returncode, r.stdout

def plan(*args, prefix=()):
    status, out = tcpvet(*args, "-o", "json", prefix=prefix)
    doc = json.loads(out) if out else None
    if doc:
        assert doc["schema"] == "tcpvet/plan/v1", doc
    return status, doc

def outcomes(doc):
    n = {}
    for c in doc["changes"]:
        n[c["outcome"]] = n.get(c["outcome"], 0) + 1
    return n

def half_closed(server, client, port, n):
    # n connections that the server closes and the client does not
    answer = client.do("connect", "127.0.0.1", port, n)
    server.do("accept", n)
    server.do("close")
    wait(lambda: count("close-wait", "dport", "=", ":%d" % port) == n)
    return answer

def cgroup():
    # where cgroup 2 is mounted, and the folder of a new group below that of the stage
    mount = [l.split()[4] for l in open("/proc/self/mountinfo") if " - cgroup2 " in l][0]
    own = mount + open("/proc/self/cgroup").read().split("0::", 1)[1].split("\n")[0].rstrip("/") + "/tcpvet-script-%d" % os.getpid()
    os.mkdir(own)
    atexit.register(leave, own)
    return mount, own

def leave(own):
    for c in children:
        c.kill()
        c.wait()
    open(os.path.dirname(own) + "/cgroup.procs", "w").write(str(os.getpid()))
    def removed():
        try:
            os.rmdir(own)
        except OSError:
            return False
        return True
    wait(removed)
