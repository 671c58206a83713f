package finwait2pileup_test

import (
	"testing"

	finwait2pileup "github.com/tcpvet/tcpvet/rules/fin-wait-2-pileup"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, finwait2pileup.Rule) }
