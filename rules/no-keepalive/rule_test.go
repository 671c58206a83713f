package nokeepalive_test

import (
	"testing"

	nokeepalive "github.com/tcpvet/tcpvet/rules/no-keepalive"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, nokeepalive.Rule) }
