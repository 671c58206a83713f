package main

import (
	"context"
	"testing"
)

// A nested module that imports the main one is built with it by go.work, and cannot be
// without; the main one never is.
func TestWorkspace(t *testing.T) {
	files := func() map[string]string {
		return map[string]string{
			"m.go":             "package m\n\nconst Answer = 42\n",
			"nested/go.mod":    "module example.org/m/nested\n\ngo 1.26.0\n",
			"nested/nested.go": "package nested\n\nimport \"example.org/m\"\n\nconst Answer = m.Answer\n",
		}
	}
	if err := module(t, files()).vet(context.Background()); err == nil {
		t.Error("without go.work it is built, by what nobody knows")
	}
	with := files()
	with["go.work"] = "go 1.26.0\n\nuse (\n\t.\n\t./nested\n)\n"
	r := module(t, with)
	if err := r.vet(context.Background()); err != nil {
		t.Error(err)
	}
	out, err := r.output(context.Background(), "go", "env", "GOWORK")
	if err != nil || out != "off\n" {
		t.Errorf("the main module is built with GOWORK=%q, %v", out, err)
	}
}
