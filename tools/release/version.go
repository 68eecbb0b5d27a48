package release

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"ebofs/tools/verb"
)

// Info is what `ebofs version` prints.
type Info struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"` // built from a tree with uncommitted changes
	Time     string `json:"time"`     // of the commit, RFC 3339
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Writes is the format new stores get, Reads lists the formats that open.
	Writes string   `json:"writes"`
	Reads  []string `json:"reads"`
}

// formatName is the on-disk format of this release. See docs/format.
const formatName = "ebofs-1"

// Current returns the facts of this build; stamped is the version the linker
// was given, or "".
func Current(stamped string) Info {
	i := Info{Version: stamped, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Writes: formatName, Reads: []string{formatName}}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				i.Commit = s.Value
			case "vcs.modified":
				i.Modified = s.Value == "true"
			case "vcs.time":
				i.Time = s.Value
			}
		}
		if i.Version == "" && b.Main.Version != "(devel)" {
			i.Version = b.Main.Version
		}
	}
	if i.Version == "" {
		i.Version = "unknown"
	}
	return i
}

// Verb describes "version". stamped is the version the linker was given.
func Verb(stamped string) verb.Verb {
	return verb.Verb{
		Name: "version", Short: "print version, commit, Go and on-disk formats", Schema: "ebofs.version/1",
		Long: "Prints the version and commit this program was built from, the Go release that built it, and the on-disk formats it writes and reads.",
		New: func(*pflag.FlagSet) verb.Run {
			return func(_ context.Context, c *verb.Call) error {
				i := Current(stamped)
				commit := i.Commit
				if commit == "" {
					commit = "unknown"
				}
				if i.Modified {
					commit += " (modified)"
				}
				c.Printf("ebofs %s\ncommit  %s\ngo      %s %s\nwrites  %s\n", i.Version, commit, i.Go, i.Platform, i.Writes)
				for _, r := range i.Reads {
					c.Printf("reads   %s\n", r)
				}
				c.Set(i)
				return nil
			}
		},
		Examples: []verb.Example{{Command: "ebofs version --format json", Text: "the same for programs"}},
	}
}

// Main runs the verb.
func Main(ctx context.Context, stamped string, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(stamped), args, s)
}
