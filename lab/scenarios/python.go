package scenarios

import (
	"context"

	"github.com/tcpvet/tcpvet/lab"
)

// pythonCues lets a Python program answer cues: each function that is marked with
// @cue answers the cue of its name.
const pythonCues = `import json
import sys

cues = {}


def cue(function):
    cues[function.__name__] = function
    return function


def answer_cues():
    for line in sys.stdin:
        asked = json.loads(line)
        reply = {"Answer": None, "Err": ""}
        try:
            reply["Answer"] = cues[asked["Cue"]](asked["Order"])
        except Exception as e:
            reply["Err"] = repr(e)
        print(json.dumps(reply), flush=True)

`

// startPython starts python3 with a program that answers cues, under the name by
// which ps shows it.
func startPython(ctx context.Context, on *lab.Host, name, program string, own lab.Setup, args ...string) (*lab.Process, error) {
	file := "/tmp/" + name
	own.Files = map[string]string{file: pythonCues + program + "\n\nanswer_cues()\n"}
	return on.Program(ctx, lab.Program{Name: "python3", Args: append([]string{file}, args...), Setup: own})
}

// requestsModule is the need of Python's requests.
var requestsModule = lab.PythonModule("requests", "python3-requests")
