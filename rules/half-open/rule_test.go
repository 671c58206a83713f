package halfopen_test

import (
	"testing"

	halfopen "github.com/tcpvet/tcpvet/rules/half-open"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, halfopen.Rule) }
