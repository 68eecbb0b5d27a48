package shell

import (
	"context"

	"github.com/spf13/pflag"

	"ebofs/tools/verb"
)

// Verb describes "completion". table returns all verbs.
func Verb(table func() []verb.Verb) verb.Verb {
	return verb.Verb{
		Name: "completion", Args: "SHELL", Short: "print the completion script for bash, zsh or fish", Schema: "ebofs.completion/1",
		Long: "Prints a script that completes verbs, actions, flags and their choices. It calls nothing and may be kept in a file.",
		New: func(*pflag.FlagSet) verb.Run {
			return func(_ context.Context, c *verb.Call) error {
				script, err := verb.Completion(c.Args[0], table())
				if err != nil {
					return err
				}
				c.Printf("%s", script)
				c.Set(map[string]string{"shell": c.Args[0], "script": script})
				return nil
			}
		},
		Examples: []verb.Example{
			{Command: "ebofs completion bash > /etc/bash_completion.d/ebofs", Text: "for every user of bash"},
			{Command: "source <(ebofs completion bash)", Text: "for this shell"},
		},
	}
}
