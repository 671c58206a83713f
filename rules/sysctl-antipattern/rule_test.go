package sysctlantipattern_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	sysctlantipattern "github.com/tcpvet/tcpvet/rules/sysctl-antipattern"
)

func TestRule(t *testing.T) { ruletest.Run(t, sysctlantipattern.Rule) }
