// A program of a few hundred bytes, with an inlined call.
static inline __attribute__((always_inline)) int twice(int n) { return n * 2; }

int leaf(int n) { return twice(n + 1); }

int root(int n) { return leaf(n) + twice(n); }
