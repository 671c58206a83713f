# Leaks connections to 127.0.0.1 from two lines, beside one that closes what it opens:
# leak.py PORT SEVERAL FEW. It then says "held" and waits for the end of its input.
import socket
import sys

port, several, few = map(int, sys.argv[1:])
held = []


def leak_often():
    held.append(socket.create_connection(("127.0.0.1", port)))  # line: often


def leak_seldom():
    held.append(socket.create_connection(("127.0.0.1", port)))  # line: seldom


def clean():
    socket.create_connection(("127.0.0.1", port)).close()  # line: clean


for i in range(several):
    leak_often()
    clean()
    if i < few:
        leak_seldom()
print("held", flush=True)
sys.stdin.read()
