# undisturbed.sh CHECK COMMAND [ARG ...] runs a command whose output tells of each
# change of a connection, and prints what its last run printed: the next one follows
# only where a run or its check fails, which finds the output in $OUT and $ERR.
#
# On a busy machine the kernel now and then passes over a change, and counts nothing; one
# that an interrupt brings while the program runs is lost too, and told. What is wrong
# here fails each time.
check=$1
shift
OUT=$(mktemp)
ERR=$(mktemp)
export OUT ERR
trap 'rm -f "$OUT" "$ERR"' EXIT
trap 'exit 1' INT TERM
for run in 1 2 3 4 5 6 7 8; do
	"$@" >"$OUT" 2>"$ERR"
	status=$?
	[ $status = 0 ] && bash -c "$check" >/dev/null 2>&1 && break
done
cat "$OUT"
cat "$ERR" >&2
exit $status
