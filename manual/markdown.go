package manual

import (
	"io"
	"strings"
)

// Markdown prints the topic as a document of its own, in CommonMark with the
// tables of GitHub. It belongs to no host: values are named, not filled in.
func Markdown(w io.Writer, t Topic) error {
	var b strings.Builder
	b.WriteString("# " + mdText(t.Name) + ": " + mdText(t.Title) + "\n")
	for _, block := range t.Blocks() {
		b.WriteByte('\n')
		mdBlock(&b, t, block)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mdBlock(b *strings.Builder, t Topic, block Block) {
	switch block := block.(type) {
	case Heading:
		b.WriteString("## " + mdText(string(block)) + "\n")
	case Para:
		b.WriteString(mdMarked(string(block)) + "\n")
	case List:
		for _, item := range block {
			b.WriteString("- " + mdMarked(item) + "\n")
		}
	case Terms:
		for _, term := range block {
			b.WriteString("- **" + mdText(term.Word) + "**: " + mdMarked(term.Text) + "\n")
		}
	case Table:
		mdRow(b, block.Head)
		b.WriteString(strings.Repeat("|---", len(block.Head)) + "|\n")
		for _, row := range block.Rows {
			mdRow(b, row)
		}
	case Code:
		mdFence(b, block.Lang, block.Text)
	case Commands:
		mdFence(b, "sh", block.script())
	case Values:
		b.WriteString("`tcpvet explain " + t.Name + "` adds what the host at hand says:\n\n")
		for _, v := range block {
			b.WriteString("- " + mdText(v.Label) + "\n")
		}
	}
}

// script gives the commands as a shell would take them, each with its note as
// a comment above it.
func (c Commands) script() string {
	var lines []string
	for _, cmd := range c {
		if note := cmd.note(); note != "" {
			lines = append(lines, "# "+unmarked(note))
		}
		lines = append(lines, cmd.Run)
	}
	return strings.Join(lines, "\n")
}

func mdFence(b *strings.Builder, lang, text string) {
	if lang == "" {
		lang = "text"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	b.WriteString(fence + lang + "\n" + text + "\n" + fence + "\n")
}

func mdRow(b *strings.Builder, cells []string) {
	for _, cell := range cells {
		b.WriteString("| " + strings.ReplaceAll(mdMarked(cell), "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

// mdMarked writes running text with its marks.
func mdMarked(s string) string {
	var b strings.Builder
	for _, sp := range spans(s) {
		switch sp.mark {
		case code:
			b.WriteString("`" + sp.text + "`")
		case strong:
			b.WriteString("**" + mdText(sp.text) + "**")
		case stressed:
			b.WriteString("*" + mdText(sp.text) + "*")
		default:
			b.WriteString(mdText(sp.text))
		}
	}
	return b.String()
}

var mdEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "<", `\<`, "[", `\[`, "_", `\_`, "#", `\#`)

func mdText(s string) string { return mdEscapes.Replace(s) }
