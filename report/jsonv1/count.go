package jsonv1

import (
	"bytes"
	"encoding/json"
)

// Count is the document of tcpvet/count/v1.
type Count struct {
	Schema     string       `json:"schema"`
	Taken      *string      `json:"taken"`
	Source     string       `json:"source"`
	Namespaces int          `json:"namespaces"`
	Total      uint64       `json:"total"`
	By         []string     `json:"by"`
	Groups     []CountGroup `json:"groups"`
	Gaps       []Gap        `json:"gaps"`
}

// CountGroup is how many sockets have the same values for the words of By.
type CountGroup struct {
	Words  []string
	Values []any // a string, *Process, *Container or Netns each
	Count  uint64

	// Unknown makes the count null: the source cannot tell such sockets.
	Unknown bool
}

// MarshalJSON prints an object of the words and "count", in that order.
func (g CountGroup) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, word := range g.Words {
		if err := member(&b, word, g.Values[i]); err != nil {
			return nil, err
		}
		b.WriteByte(',')
	}
	var n *uint64
	if !g.Unknown {
		n = &g.Count
	}
	if err := member(&b, "count", n); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func member(b *bytes.Buffer, name string, value any) error {
	key, err := json.Marshal(name)
	if err != nil {
		return err
	}
	val, err := json.Marshal(value)
	if err != nil {
		return err
	}
	b.Write(key)
	b.WriteByte(':')
	b.Write(val)
	return nil
}
