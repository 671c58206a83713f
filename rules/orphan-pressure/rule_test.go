package orphanpressure_test

import (
	"testing"

	orphanpressure "github.com/tcpvet/tcpvet/rules/orphan-pressure"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, orphanpressure.Rule) }
