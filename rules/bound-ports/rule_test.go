package boundports_test

import (
	"testing"

	boundports "github.com/tcpvet/tcpvet/rules/bound-ports"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, boundports.Rule) }
