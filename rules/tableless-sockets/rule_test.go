package tablelesssockets_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	tablelesssockets "github.com/tcpvet/tcpvet/rules/tableless-sockets"
)

func TestRule(t *testing.T) { ruletest.Run(t, tablelesssockets.Rule) }
