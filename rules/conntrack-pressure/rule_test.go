package conntrackpressure_test

import (
	"testing"

	conntrackpressure "github.com/tcpvet/tcpvet/rules/conntrack-pressure"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, conntrackpressure.Rule) }
