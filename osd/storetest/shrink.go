package storetest

import (
	"slices"
	"strings"
)

// shrink removes lines, then single operations, as long as what is left still
// fails, within a number of tries. It returns what is left and why that fails;
// nil if the lines as given do not fail.
func shrink(lines []string, tries int, run func([]string) error) ([]string, error) {
	why := run(lines)
	if why == nil {
		return lines, nil
	}
	try := func(less []string) bool {
		if tries == 0 {
			return false
		}
		tries--
		err := run(less)
		if err == nil {
			return false
		}
		lines, why = less, err
		return true
	}
	for before := -1; before != weight(lines); {
		before = weight(lines)
		for chunk := (len(lines) + 1) / 2; chunk > 0; chunk /= 2 {
			// From the end: what is there is needed least by the rest.
			for at := len(lines) - chunk; at > -chunk; at -= chunk {
				from, to := max(at, 0), min(at+chunk, len(lines))
				if from < to {
					try(slices.Delete(slices.Clone(lines), from, to))
				}
			}
		}
		for i := len(lines) - 1; i >= 0; i-- {
			for k := len(operations(lines[i])) - 1; k >= 0; k-- {
				ops := operations(lines[i])
				if len(ops) < 2 {
					break
				}
				less := slices.Clone(lines)
				less[i] = "txn " + strings.Join(slices.Delete(ops, k, k+1), ";")
				try(less)
			}
		}
	}
	return lines, why
}

// operations returns those of a txn line.
func operations(line string) []string {
	ops, ok := strings.CutPrefix(line, "txn ")
	if !ok {
		return nil
	}
	return strings.Split(ops, ";")
}

// weight is what shrinking makes less.
func weight(lines []string) int {
	n := len(lines)
	for _, l := range lines {
		n += len(operations(l))
	}
	return n
}
