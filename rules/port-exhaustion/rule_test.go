package portexhaustion_test

import (
	"testing"

	portexhaustion "github.com/tcpvet/tcpvet/rules/port-exhaustion"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, portexhaustion.Rule) }
