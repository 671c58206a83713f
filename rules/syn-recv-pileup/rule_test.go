package synrecvpileup_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	synrecvpileup "github.com/tcpvet/tcpvet/rules/syn-recv-pileup"
)

func TestRule(t *testing.T) { ruletest.Run(t, synrecvpileup.Rule) }
