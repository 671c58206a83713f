package timewaitpressure_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	timewaitpressure "github.com/tcpvet/tcpvet/rules/time-wait-pressure"
)

func TestRule(t *testing.T) { ruletest.Run(t, timewaitpressure.Rule) }
