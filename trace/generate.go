package trace

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types changes bpf/changes.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types tally bpf/tally.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types adopt bpf/adopt.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types sweep bpf/sweep.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types calls bpf/calls.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package trace -no-global-types stacks bpf/stacks.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../bpf
