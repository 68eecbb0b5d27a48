package crush

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ebofs/tools/verb"
)

// Verb describes "crush".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "crush", Short: "compile, decompile and test CRUSH maps", Schema: "ebofs.crush/1",
		Long: `A CRUSH map says which devices hold what. Every action takes it in any form: binary, as a cluster has it, text, as people edit it, or JSON and XML, as "ceph osd crush dump" prints it; "-" is the standard input. Weights have three decimals in a text, so that a map is better moved in binary.

test shows where a map places things, and prints what users of crushtool --test expect. diff says how much would move if one map took the place of another.`,
		Actions: []verb.Action{
			{Name: "compile", Args: "FILE", Short: "make the binary map of a text", Schema: "ebofs.crush.compile/1", New: func(fs *pflag.FlagSet) verb.Run {
				out := outputFlag(fs)
				return func(_ context.Context, c *verb.Call) error { return convert(c, binary, *out) }
			}},
			{Name: "decompile", Args: "FILE", Short: "print a map as text", Schema: "ebofs.crush.decompile/1", New: func(fs *pflag.FlagSet) verb.Run {
				out := outputFlag(fs)
				return func(_ context.Context, c *verb.Call) error { return convert(c, text, *out) }
			}},
			{Name: "export", Args: "FILE", Short: "print a map as JSON or XML", Schema: "ebofs.crush.export/1", New: func(fs *pflag.FlagSet) verb.Run {
				out := outputFlag(fs)
				as := fs.String("as", "json-pretty", "`json|json-pretty|xml|text|binary`: what to write")
				return func(_ context.Context, c *verb.Call) error { return convert(c, form(*as), *out) }
			}},
			{Name: "import", Args: "FILE", Short: "make the binary map of JSON or XML", Schema: "ebofs.crush.import/1", New: func(fs *pflag.FlagSet) verb.Run {
				out := outputFlag(fs)
				return func(_ context.Context, c *verb.Call) error { return convert(c, binary, *out) }
			}},
			{Name: "test", Args: "FILE", Short: "show where a map places things", Schema: "ebofs.crush.test/1", Rows: "runs", New: func(fs *pflag.FlagSet) verb.Run {
				var o testOptions
				o.inputs.register(fs)
				fs.BoolVar(&o.mappings, "show-mappings", false, "print every placement")
				fs.BoolVar(&o.bad, "show-bad-mappings", false, "print placements with fewer devices than asked for")
				fs.BoolVar(&o.statistics, "show-statistics", false, "print how many placements have how many devices")
				fs.BoolVar(&o.utilization, "show-utilization", false, "print how often each device is chosen")
				fs.Int32Var(&o.containing, "containing", -1, "place so that `DEVICE` is in each placement, where that can be")
				return func(ctx context.Context, c *verb.Call) error { return test(ctx, c, o) }
			}},
			{Name: "diff", Args: "OLD NEW", Short: "say how much moves from one map to another", Schema: "ebofs.crush.diff/1", Rows: "runs", New: func(fs *pflag.FlagSet) verb.Run {
				var in inputs
				in.register(fs)
				return func(ctx context.Context, c *verb.Call) error { return diff(ctx, c, in) }
			}},
		},
		Examples: []verb.Example{
			{Command: "ebofs crush decompile map > map.txt", Text: "a map to edit; ceph osd getcrushmap -o map gets it"},
			{Command: "ebofs crush compile map.txt -o new", Text: "and back"},
			{Command: "ebofs crush test new --rule 0 --num-rep 3 --show-utilization", Text: "how evenly a rule uses the devices"},
			{Command: "ebofs crush test new --weight 3=0 --show-bad-mappings", Text: "what is short of a copy while device 3 is out"},
			{Command: "ebofs crush diff map new", Text: "how much the edit would move"},
		},
	}
}

func outputFlag(fs *pflag.FlagSet) *string {
	return fs.StringP("output", "o", "", "write to `PATH` instead of the standard output")
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

// invalid is the failure for a file that is no good map.
func invalid(path string, err error) *verb.Failure {
	// Several findings are one line.
	what := strings.ReplaceAll(err.Error(), "\n", "; ")
	return &verb.Failure{Code: "E-CRUSH", Message: fmt.Sprintf("%s: %s", path, what), Hint: "Nothing was written.", Err: err}
}
