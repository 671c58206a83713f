package closewaitleak_test

import (
	"testing"

	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, closewaitleak.Rule) }
