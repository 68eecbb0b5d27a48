package differ

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// difference is a result that is not Ceph's on purpose.
type difference struct {
	where, op, ours string
	seen            bool
}

// a row of the table names file/case, the operation and our result; then the reason.
var row = regexp.MustCompile("^\\| `([^`]+)` \\| `([^`]+)` \\| `([^`]+)` \\| (\\S.*) \\|$")

// differences reads the table of docs/differences.md.
func differences(path string) ([]*difference, error) {
	p, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var d []*difference
	for i, l := range strings.Split(string(p), "\n") {
		if !strings.HasPrefix(l, "| `") {
			continue
		}
		m := row.FindStringSubmatch(l)
		if m == nil {
			return nil, fmt.Errorf("%s:%d: not | `case` | `operation` | `our result` | reason |", path, i+1)
		}
		d = append(d, &difference{where: m[1], op: m[2], ours: strings.ReplaceAll(m[3], `\|`, "|")})
	}
	return d, nil
}
