# Writes what the interpreter that runs it says of the lines of a function's code: a
# fixture of one version. Run as: python3.N make.py > 3.N.txt
import sys


def sample(a, *rest, key=None):
    if a > 1 and \
            key:
        return [x for x in
                rest if x]
    try:
        out = dict(
            first=a,
            second=sample.__name__.replace(
                "s", "t"),
        )
        for i in range(3):

            # far




















            out[i] = (lambda y:
                      y + 1)(i)
        with open("/dev/null") as f:
            out["n"] = f.read()
    except (OSError,
            ValueError) as e:
        raise RuntimeError from e
    finally:
        del a
    return out


code = sample.__code__
if hasattr(code, "co_lines"):  # 3.10
    lines = [(start, end, line) for start, end, line in code.co_lines()]
    table = code.co_linetable
else:
    import dis
    starts = list(dis.findlinestarts(code))
    ends = [s for s, _ in starts[1:]] + [len(code.co_code)]
    lines = [(s, e, line) for (s, line), e in zip(starts, ends)]
    table = code.co_lnotab
print(code.co_firstlineno, table.hex())
for start, end, line in lines:
    for at in range(start, end, 2):
        print(at, line or 0)
