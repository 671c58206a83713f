package keepalivetoolate_test

import (
	"testing"

	keepalivetoolate "github.com/tcpvet/tcpvet/rules/keepalive-too-late"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, keepalivetoolate.Rule) }
