package lastackpileup_test

import (
	"testing"

	lastackpileup "github.com/tcpvet/tcpvet/rules/last-ack-pileup"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, lastackpileup.Rule) }
