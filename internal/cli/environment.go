package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fromEnvironment sets the flags that were not given from the environment:
// --port-range is TCPVET_PORT_RANGE. An empty variable sets nothing.
func fromEnvironment(cmd *cobra.Command) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || failed != nil || len(f.Annotations[givenByHand]) > 0 {
			return
		}
		name := "TCPVET_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			failed = usage("read %s: %w", name, err)
		}
	})
	return failed
}

// givenByHand marks flags that no variable sets: what lets something be changed is to
// be said each time.
const givenByHand = "tcpvet_given_by_hand"

func byHand(cmd *cobra.Command, flag string) {
	_ = cmd.Flags().SetAnnotation(flag, givenByHand, []string{"yes"})
}
