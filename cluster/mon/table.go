package mon

import "strings"

// table is text in columns as Ceph writes it: each as wide as its widest cell, two
// spaces between.
type table struct {
	columns []column
	rows    [][]string
}

type column struct {
	head         string
	right, hleft bool // cells to the right; the head to the left all the same
}

// left and right declare columns.
func left(heads ...string) (list []column) {
	for _, h := range heads {
		list = append(list, column{head: h})
	}
	return list
}

func right(heads ...string) (list []column) {
	for _, h := range heads {
		list = append(list, column{head: h, right: true})
	}
	return list
}

// under declares columns whose cells are to the right and whose heads are not.
func under(heads ...string) (list []column) {
	for _, h := range heads {
		list = append(list, column{head: h, right: true, hleft: true})
	}
	return list
}

func columns(groups ...[]column) *table {
	t := &table{}
	for _, g := range groups {
		t.columns = append(t.columns, g...)
	}
	return t
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// String returns the text. Every line ends where the last column does.
func (t *table) String() string {
	width := make([]int, len(t.columns))
	for i, c := range t.columns {
		width[i] = len(c.head)
		for _, r := range t.rows {
			if i < len(r) {
				width[i] = max(width[i], len(r[i]))
			}
		}
	}
	var b strings.Builder
	line := func(cell func(i int) (string, bool)) {
		for i := range t.columns {
			if i > 0 {
				b.WriteString("  ")
			}
			s, right := cell(i)
			pad := strings.Repeat(" ", width[i]-len(s))
			if right {
				b.WriteString(pad + s)
			} else {
				b.WriteString(s + pad)
			}
		}
		b.WriteByte('\n')
	}
	line(func(i int) (string, bool) { return t.columns[i].head, t.columns[i].right && !t.columns[i].hleft })
	for _, r := range t.rows {
		line(func(i int) (string, bool) {
			if i >= len(r) {
				return "", false
			}
			return r[i], t.columns[i].right
		})
	}
	return b.String()
}
