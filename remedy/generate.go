package remedy

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package remedy -no-global-types timers bpf/keepalive.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
