# Reasons why connect() and bind() fail, each staged by a function in the network
# namespace of this process. It ends in same(), by which a script checks what is told
# of an attempt there: it sets check.
import os, socket, subprocess, sys, time

def sh(line):
    subprocess.run(line, shell=True, check=True, capture_output=True)

def tcp(family=socket.AF_INET, reuse=False):
    s = socket.socket(family, socket.SOCK_STREAM)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s

def listen(host="127.0.0.1", port=8080, backlog=1000, family=socket.AF_INET):
    s = tcp(family, True)
    s.bind((host, port))
    s.listen(backlog)
    return s

def connect(host="127.0.0.1", port=8080, bind=None, family=socket.AF_INET):
    s = tcp(family, bind is not None and bind[1] != 0)
    if bind:
        s.bind(bind)
    s.connect((host, port))
    return s

def ports(low, high):
    sh(f"sysctl -w net.ipv4.ip_local_port_range='{low} {high}'")

def up():
    sh("ip link set lo up")

def veth():
    up()
    sh("ip link add v0 type veth peer name v1 && ip addr add 10.1.1.1/24 dev v0 && ip link set v0 up && ip link set v1 up")

def count(state):
    return int(subprocess.run(f"ss -Htan state {state} dport = :8080 | wc -l", shell=True, capture_output=True, text=True).stdout)

def until(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)

# What a socket of our own is answered: the errno, 0, or silent.
def kernel(host, port, bind=None, seconds=1):
    s = tcp(socket.AF_INET6 if ":" in host else socket.AF_INET, bind is not None and bind[1] != 0)
    s.settimeout(seconds)
    try:
        if bind:
            s.bind(bind)
        addr, _, link = host.partition("%")
        s.connect((addr, port, 0, socket.if_nametoindex(link)) if link else (host, port))
        return 0
    except TimeoutError as e:
        return e.errno or "silent"
    except OSError as e:
        return e.errno
    finally:
        s.close()

def agreeing(doc):
    n = 0
    for e in doc["evidence"]:
        got = subprocess.run(e["check"], shell=True, capture_output=True, text=True).stdout
        assert " ".join(got.split()) == " ".join(e["got"].replace(",", "").split()), (e, got)
        n += 1
    return n

def same(host="127.0.0.1", port=8080, bind=None, flags=(), seconds=1):
    check(host, port, bind, flags, seconds)

keep = []

def full(n=10, accept=True):
    up()
    l = listen()
    ports(40000, 40000 + n - 1)
    for _ in range(n):
        c = connect()
        keep.append((c, l.accept()[0]))
    keep.append(l)

def estab():
    full()
    same()

def close_wait():
    full()
    for c, s in keep[:10]:
        s.close()
    until(lambda: count("close-wait") == 10)
    same()

def time_wait():
    up()
    sh("sysctl -w net.ipv4.tcp_tw_reuse=0")
    full()
    for c, s in keep[:10]:
        c.close()
    until(lambda: count("fin-wait-2") == 10)
    for c, s in keep[:10]:
        s.close()
    until(lambda: count("time-wait") == 10)
    same()

def fin_wait_2():
    full()
    for c, s in keep[:10]:
        c.shutdown(socket.SHUT_WR)
    until(lambda: count("fin-wait-2") == 10)
    same()

# IPv4 in sockets of IPv6 takes the same ports.
def mapped():
    up()
    keep.append(listen())
    ports(40000, 40009)
    for i in range(10):
        keep.append(connect("::ffff:127.0.0.1", family=socket.AF_INET6))
    same()

def elsewhere():
    full()
    keep.append(listen("127.0.0.1", 8081))
    same(port=8081)

def estab_bind():
    up()
    keep.append(listen())
    ports(40000, 40009)
    for i in range(10):
        keep.append(connect(bind=("127.0.0.1", 0)))
    same(bind=("127.0.0.1", 0))

def reserve():
    up()
    keep.append(listen())
    ports(40000, 40009)
    sh("sysctl -w net.ipv4.ip_local_reserved_ports=40000-40009")

def reserved():
    reserve()
    same()

def reserved_bind():
    reserve()
    same(bind=("127.0.0.1", 0))

def bound():
    up()
    keep.append(listen())
    ports(40000, 40003)
    for port in range(40000, 40004):
        s = tcp()
        s.bind(("127.0.0.1", port))
        keep.append(s)
    same()

def listeners():
    up()
    keep.append(listen())
    ports(40000, 40003)
    for port in range(40000, 40004):
        keep.append(listen("0.0.0.0", port))
    same()

def tuple_():
    up()
    keep.append(listen())
    keep.append(connect(bind=("127.0.0.1", 45000)))
    same(bind=("127.0.0.1", 45000))

def tuple_any():
    up()
    keep.append(listen())
    keep.append(connect(bind=("127.0.0.1", 45000)))
    same(bind=("0.0.0.0", 45000))

def port_taken():
    up()
    keep.append(listen())
    keep.append(listen("127.0.0.1", 45000))
    same(bind=("127.0.0.1", 45000))

def foreign():
    up()
    same(bind=("10.9.9.9", 0))

def foreign6():
    up()
    same("::1", bind=("2001:db8::9", 0))

def ipv6_off():
    up()
    sh("sysctl -w net.ipv6.conf.all.disable_ipv6=1")
    same("::1")

def ipv6_off_lo():
    up()
    sh("sysctl -w net.ipv6.conf.lo.disable_ipv6=1")
    same("::1")

def ipv6_off_bind():
    up()
    sh("sysctl -w net.ipv6.conf.all.disable_ipv6=1")
    same("::1", bind=("::1", 0))

def lo_down():
    same()

def lo_down6():
    same("::1")

def lo_down_bind6():
    same("::1", bind=("::1", 0))

# Duplicate address detection that does not end.
def unproved():
    sh("sysctl -w net.ipv6.conf.default.dad_transmits=1000000 && sysctl -w net.ipv6.conf.default.addr_gen_mode=1")
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && ip -6 addr add 2001:db8:5::1/64 dev v0")

def tentative():
    unproved()
    same("2001:db8:5::2", 80)

def tentative_bind():
    unproved()
    up()
    same("2001:db8:5::2", 80, bind=("2001:db8:5::1", 0))

def sourceless():
    unproved()
    up()
    same("2001:db8:5::2", 80, seconds=60, flags=("--timeout", "60s"))

def deprecated():
    sh("sysctl -w net.ipv6.conf.default.addr_gen_mode=1")
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up")
    sh("ip -6 addr add 2001:db8:5::1/64 dev v0 nodad && ip -6 addr change 2001:db8:5::1/64 dev v0 preferred_lft 0")
    sh("ip -6 neigh add 2001:db8:5::2 lladdr 02:00:00:00:00:09 dev v0 nud permanent")
    same("2001:db8:5::2", 80, flags=("--timeout", "1s"))

def no_route():
    up()
    same("10.9.9.9")

def no_route6():
    up()
    same("2001:db8::1")

def no_route6_lo_down():
    same("2001:db8::1")

def route(kind):
    veth()
    sh(f"ip route add {kind} 10.2.2.0/24")
    same("10.2.2.1")

def broadcast():
    veth()
    same("10.1.1.255")

def no_route_link():
    up()
    same("fe80::1%lo")

def scope():
    veth()
    same("10.1.1.2", bind=("127.0.0.1", 0))

def no_neighbour():
    veth()
    same("10.1.1.2", seconds=60, flags=("--timeout", "60s"))

def link_local():
    up()
    same("fe80::1")

def closed():
    up()
    same(port=8081)

def port_0():
    up()
    same(port=0)

def other_address():
    up()
    keep.append(listen())
    same("127.0.0.2")

def backlog():
    up()
    keep.append(listen(port=8081, backlog=1))
    for _ in range(2):
        keep.append(connect(port=8081))
    same(port=8081, flags=("--timeout", "1s"))

# A link to the namespace of a process. Its addresses are in no other one of the host,
# though this may run twice at once.
def beside(pid):
    veth()
    net = f"10.{64 + int(pid) // 256 % 64}.{int(pid) % 256}"
    sh(f"ip addr add {net}.1/24 dev v0 && ip link set v1 netns {pid} && nsenter -t {pid} -n ip addr add {net}.2/24 dev v1 && nsenter -t {pid} -n ip link set v1 up")
    return f"{net}.1", f"{net}.2"

def container():
    pid = child(
        "import ctypes, subprocess",
        "assert ctypes.CDLL(None).unshare(0x40000000) == 0", # CLONE_NEWNET
        "subprocess.run('ip link set lo up', shell=True, check=True)",
        "full = socket.create_server(('0.0.0.0', 8081), backlog=0)",
        "local = socket.create_server(('127.0.0.1', 8082))")
    near, far = beside(pid)
    keep.append(connect(far, 8081))
    same(far, 8081, flags=("--timeout", "1s"))
    same(far, 8082)
    same(far, 8083)

# Nobody has the link address to which the SYN goes.
def nowhere():
    veth()
    sh("ip neigh add 10.1.1.2 lladdr 02:00:00:00:00:09 dev v0 nud permanent")

def dropped():
    nowhere()
    same("10.1.1.2", flags=("--timeout", "1500ms"))

def nat():
    pid = child(
        "import ctypes, subprocess",
        "assert ctypes.CDLL(None).unshare(0x40000000) == 0", # CLONE_NEWNET
        "subprocess.run('ip link set lo up', shell=True, check=True)",
        "server = socket.create_server(('0.0.0.0', 8080), backlog=100)")
    near, far = beside(pid)
    sh(f"nft 'add table ip t; add chain ip t out {{ type nat hook postrouting priority 100; }}; add rule ip t out tcp dport 8080 snat to {near}:5000-5000'")
    keep.append(connect(far))
    same(far, flags=("--timeout", "1500ms"))

def gave_up():
    nowhere()
    sh("sysctl -w net.ipv4.tcp_syn_retries=1")
    sh("if sysctl net.ipv4.tcp_syn_linear_timeouts; then sysctl -w net.ipv4.tcp_syn_linear_timeouts=0; fi")
    same("10.1.1.2", seconds=100, flags=("--timeout", "100s"))

# A process in this place, with what it is to see.
def child(*lines):
    code = "\n".join(["import os, resource, socket, sys", *lines, "print('ready', flush=True)", "sys.stdin.read()"])
    p = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    keep.append(p)
    got = p.stdout.readline().strip()
    while got != "ready":
        p.said = got
        got = p.stdout.readline().strip()
    return str(p.pid)

named = {"unreachable": lambda: route("unreachable"), "prohibit": lambda: route("prohibit"), "blackhole": lambda: route("blackhole"), "tuple": tuple_}

# Plays the stage of a name: one of here or of more. What it started ends with it.
def play(name, more):
    word = name.replace("-", "_")
    try:
        (named.get(name) or more.get(word) or globals()[word])()
    finally:
        for k in keep:
            if isinstance(k, subprocess.Popen):
                k.kill()
                k.wait()
