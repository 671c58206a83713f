package owner

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package owner -no-global-types remember bpf/owner.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
