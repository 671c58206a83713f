package acceptqueuefull_test

import (
	"testing"

	acceptqueuefull "github.com/tcpvet/tcpvet/rules/accept-queue-full"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, acceptqueuefull.Rule) }
