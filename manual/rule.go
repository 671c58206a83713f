package manual

import (
	"strings"

	"github.com/tcpvet/tcpvet/vet"
)

// RuleTopic renders the manual page of a rule.
func RuleTopic(r *vet.Rule) Topic {
	t := Topic{
		Name:    r.Name,
		Section: Rules,
		Title:   r.Doc.Title,
		Refs:    r.Doc.See,
	}
	for _, text := range r.Doc.Text {
		t.Body = append(t.Body, markdown(text)...)
	}
	if len(r.Doc.Numbers) > 0 {
		table := Table{Head: []string{"limit", "value", "why"}}
		for _, n := range r.Doc.Numbers {
			table.Rows = append(table.Rows, []string{n.Name, n.Value, n.Reason})
		}
		t.Body = append(t.Body, Heading("when it fires"), table)
	}
	t.Body = append(t.Body, advice("what helps", r.Doc.Cure)...)
	t.Body = append(t.Body, advice("what does not help", r.Doc.Never)...)
	if need := r.Needs.Words(); len(need) > 0 {
		t.Body = append(t.Body, Heading("what it needs to know"),
			Para("`tcpvet diagnose` skips this rule, and says so, where the look could not learn all of: "+strings.Join(need, ", ")+"."))
	}
	return t
}

// rulesTopic lists the rules.
func rulesTopic(rules []*vet.Rule) Topic {
	t := Topic{
		Name: "rules", Aliases: []string{"rule", "findings"}, Section: Basics,
		Title: "what tcpvet diagnose judges by",
		Body: []Block{
			Para("Each rule looks for one thing that can be wrong. A rule that lacks something it needs to know is skipped, and `tcpvet diagnose` says so: what was not judged is not known to be well."),
		},
	}
	var terms Terms
	for _, r := range rules {
		terms = append(terms, Term{Word: r.Name, Text: r.Doc.Title})
	}
	t.Body = append(t.Body, terms)
	for _, r := range rules {
		t.See = append(t.See, r.Name)
	}
	return t
}

// advice heads a list of paragraphs. One that holds more than running text
// stands as it is.
func advice(title string, texts []string) []Block {
	if len(texts) == 0 {
		return nil
	}
	blocks := []Block{Heading(title)}
	var list List
	for _, text := range texts {
		parts := markdown(text)
		if p, ok := parts[0].(Para); ok {
			list = append(list, string(p))
			parts = parts[1:]
		}
		if len(parts) > 0 {
			if len(list) > 0 {
				blocks = append(blocks, list)
				list = nil
			}
			blocks = append(blocks, parts...)
		}
	}
	if len(list) > 0 {
		blocks = append(blocks, list)
	}
	return blocks
}

// markdown reads the Markdown that the texts of a rule use: paragraphs, lists
// with "- ", code that is fenced or stands in by four spaces. It gives at
// least one block.
func markdown(s string) []Block {
	var blocks []Block
	var para []string
	var list List
	var program []string
	flush := func() {
		if len(para) > 0 {
			blocks = append(blocks, Para(strings.Join(para, " ")))
		}
		if len(list) > 0 {
			blocks = append(blocks, list)
		}
		if text := strings.Trim(strings.Join(program, "\n"), "\n"); text != "" {
			blocks = append(blocks, Code{Text: text})
		}
		para, list, program = nil, nil, nil
	}
	fenced := false
	for line := range strings.SplitSeq(s, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "```"):
			flush()
			fenced = !fenced
		case fenced:
			program = append(program, line)
		case text == "":
			if len(program) > 0 {
				program = append(program, "")
			} else {
				flush()
			}
		case strings.HasPrefix(line, "    ") && len(para) == 0 && len(list) == 0:
			program = append(program, line[4:])
		case strings.HasPrefix(text, "- "):
			if len(para) > 0 || len(program) > 0 {
				flush()
			}
			list = append(list, text[2:])
		case len(list) > 0:
			list[len(list)-1] += " " + text
		default:
			if len(program) > 0 {
				flush()
			}
			para = append(para, text)
		}
	}
	flush()
	if len(blocks) == 0 {
		return []Block{Para("")}
	}
	return blocks
}
