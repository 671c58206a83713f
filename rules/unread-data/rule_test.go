package unreaddata_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/rules/ruletest"
	unreaddata "github.com/tcpvet/tcpvet/rules/unread-data"
)

func TestRule(t *testing.T) { ruletest.Run(t, unreaddata.Rule) }
