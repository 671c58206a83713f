package manual

// Block is a piece of a page. The set of its types is closed.
//
// Running text knows three marks, written as in Markdown: `code`, **strong**
// and *stressed*.
type Block interface{ isBlock() }

// Heading opens a part of a page. It is plain text.
type Heading string

// Para is a paragraph of running text.
type Para string

// List is a list of paragraphs of running text.
type List []string

// Terms is a list of words, each with running text that explains it.
type Terms []Term

// Term is one word of Terms.
type Term struct{ Word, Text string }

// Table is a table. Every row has as many cells as Head; cells are running
// text.
type Table struct {
	Head []string
	Rows [][]string
}

// Code is a program text, a part of a configuration or a drawing. It is never
// wrapped.
type Code struct {
	Lang string // of a program: "python", "go", "nginx"; "" for a drawing
	Text string // without a final newline
}

// Commands are shell lines, each of which runs as it stands with the tools of
// Debian 12 and tcpvet. A word PID in one stands for the number of a process.
type Commands []Command

// Command is one of Commands.
type Command struct {
	Run   string
	Shows string // what it prints or does; running text, "" where that is plain

	Root    bool // it needs root
	Waits   bool // it runs until it is stopped
	Changes bool // it changes settings or connections
}

// Values are what the host at hand says, filled in at the time of printing.
type Values []Value

// Value is one of Values.
type Value struct {
	Label string // what it is: the name of a setting or counter, or a few words

	// Of gives the value with its unit; ok is false where the host was not
	// asked or did not say.
	Of func(Here) (text string, ok bool)
}

func (Heading) isBlock()  {}
func (Para) isBlock()     {}
func (List) isBlock()     {}
func (Terms) isBlock()    {}
func (Table) isBlock()    {}
func (Code) isBlock()     {}
func (Commands) isBlock() {}
func (Values) isBlock()   {}
