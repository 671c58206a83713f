package bpfiter

//go:generate go tool -modfile=../../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package bpfiter -no-global-types census bpf/census.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package bpfiter -no-global-types stream bpf/stream.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf
