package verbs

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"ebofs/tools/admin"
	"ebofs/tools/bench"
	"ebofs/tools/blockmap"
	"ebofs/tools/config"
	"ebofs/tools/crush"
	"ebofs/tools/demo"
	"ebofs/tools/device"
	"ebofs/tools/dump"
	"ebofs/tools/fsck"
	"ebofs/tools/image"
	"ebofs/tools/manual"
	"ebofs/tools/mkfs"
	"ebofs/tools/mon"
	"ebofs/tools/object"
	"ebofs/tools/osd"
	"ebofs/tools/pg"
	"ebofs/tools/release"
	"ebofs/tools/shell"
	"ebofs/tools/verb"
)

// Table returns every verb in the order help shows them. version is the
// version the linker was given, or "".
func Table(version string) []verb.Verb {
	table := func() []verb.Verb { return Table(version) }
	current := release.Current(version).Version
	return []verb.Verb{
		mkfs.Verb(),
		fsck.Verb(),
		dump.Verb(),
		blockmap.Verb(),
		object.Verb(),
		pg.Verb(),
		device.Verb(bench.Action(), bench.AgeAction()),
		image.Verb(),
		mon.Verb(),
		osd.Verb(),
		crush.Verb(),
		config.Verb(),
		admin.Verb(),
		demo.Verb(),
		shell.Verb(table),
		manual.Verb(table, current),
		release.Verb(version),
		later("mgr", "run a manager"),
		later("mds", "run a metadata server"),
		later("simulate", "replay a simulated failure"),
	}
}

func later(name, short string) verb.Verb {
	return verb.Verb{Name: name, Short: short, Schema: "ebofs." + name + "/1", Later: true}
}

// Main runs the command line argv, argv[0] included, and returns the exit code.
func Main(ctx context.Context, version string, argv []string, s verb.Streams) int {
	if s.Program == "" && len(argv) > 0 {
		s.Program = argv[0]
	}
	s.Version = release.Current(version).Version
	table := Table(version)
	args := argv[min(1, len(argv)):]
	base := filepath.Base(s.Program)
	for _, v := range table {
		if v.Link != "" && v.Link == base {
			if asked(args, "--version") {
				return release.Main(ctx, version, nil, s)
			}
			return verb.Main(ctx, v, args, s)
		}
	}
	if len(args) == 0 {
		fmt.Fprint(s.Err, manual.Overview(table))
		return 2
	}
	switch word := args[0]; {
	case word == "-h" || word == "--help" || word == "help":
		if _, err := fmt.Fprint(s.Out, manual.Overview(table)); err != nil {
			fmt.Fprintf(s.Err, "%s: writing the result: %v\n", base, err)
			return 1
		}
		return 0
	case word == "--version":
		return release.Main(ctx, version, args[1:], s)
	default:
		for _, v := range table {
			if v.Name == word {
				if asked(args[1:], "--version") {
					return release.Main(ctx, version, nil, s)
				}
				return verb.Main(ctx, v, args[1:], s)
			}
		}
		hint := "Verbs: " + s.Command("--help")
		if n := nearest(word, table); n != "" {
			hint = fmt.Sprintf("Did you mean %s? ", n) + hint
		}
		message := fmt.Sprintf("unknown verb %q", word)
		if strings.HasPrefix(word, "-") {
			message = fmt.Sprintf("the verb is missing before %q", word)
		}
		return verb.Reject(message, hint, args, s)
	}
}

func asked(args []string, flag string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == flag {
			return true
		}
	}
	return false
}

// nearest returns the verb that word is probably a slip of, or "".
func nearest(word string, table []verb.Verb) string {
	best, name := 3, ""
	for _, v := range table {
		if v.Later {
			continue
		}
		if d := distance(strings.ToLower(word), v.Name); d < best && d < len(word)-1 {
			best, name = d, v.Name
		}
	}
	return name
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
