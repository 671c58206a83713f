package ipv6localhost_test

import (
	"testing"

	ipv6localhost "github.com/tcpvet/tcpvet/rules/ipv6-localhost"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, ipv6localhost.Rule) }
