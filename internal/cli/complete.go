package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/manual"
	"github.com/tcpvet/tcpvet/rules"
)

// plainUsage takes the backquotes, which name a flag's value for its help, out of the
// usage texts of a command and of those below it: completions show these as they are.
func plainUsage(cmd *cobra.Command) {
	plain := func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) }
	cmd.PersistentFlags().VisitAll(plain)
	cmd.LocalFlags().VisitAll(plain)
	for _, c := range cmd.Commands() {
		plainUsage(c)
	}
}

// complete gives the words that a flag takes one of.
func complete(cmd *cobra.Command, flag string, words ...string) {
	cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// completeList gives the words for a flag that takes several, separated by
// commas. A shell replaces all that was typed, so what stands before the last
// comma comes again.
func completeList(cmd *cobra.Command, flag string, words func() []string) {
	cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		given := strings.Split(before, ",")
		var out []string
		for _, w := range words() {
			if !slices.Contains(given, w) {
				out = append(out, before+w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
}

// completeFilter gives the next word of a FILTER. What is no word of its language, as
// an address, is no file either.
func completeFilter(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return filter.Next(args), cobra.ShellCompDirectiveNoFileComp
}

// completeTopic gives the next word of the topics of the manual. Parts of a topic
// come once it is named: nobody wants to choose from the claims of the article.
func completeTopic(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	book := manual.New(rules.All...)
	names := book.Names()
	if len(args) > 0 {
		names = nil
		for _, t := range book.Topics() {
			names = append(names, t.Name)
		}
	}
	var out []string
	for _, name := range names {
		words := strings.Fields(name)
		if len(words) <= len(args) || !slices.EqualFunc(args, words[:len(args)], strings.EqualFold) {
			continue
		}
		if next := words[len(args)]; !slices.Contains(out, next) {
			out = append(out, next)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
