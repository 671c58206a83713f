package synsentpileup_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	synsentpileup "github.com/tcpvet/tcpvet/rules/syn-sent-pileup"
)

func TestRule(t *testing.T) { ruletest.Run(t, synsentpileup.Rule) }
