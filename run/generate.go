package run

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package run -no-global-types births bpf/run.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
