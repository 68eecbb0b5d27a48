package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// outline prints JSON for a person: a line for each value, what is inside something
// indented below its name, in the order of the answer.
//
//	ebofs:
//	  transactions  12
//	  checkpoints   3
func outline(p []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	v, err := parse(d)
	if err != nil {
		return p
	}
	var b bytes.Buffer
	v.print(&b, 0)
	return b.Bytes()
}

// value is a value of JSON whose objects keep their order.
type value struct {
	text string   // of a scalar
	keys []string // of an object; nil: a list
	of   []value
	deep bool // an object or a list
}

func parse(d *json.Decoder) (v value, err error) {
	t, err := d.Token()
	if err != nil {
		return v, err
	}
	switch t := t.(type) {
	case json.Delim:
		v.deep = true
		for d.More() {
			if t == '{' {
				k, err := d.Token()
				if err != nil {
					return v, err
				}
				v.keys = append(v.keys, fmt.Sprint(k))
			}
			x, err := parse(d)
			if err != nil {
				return v, err
			}
			v.of = append(v.of, x)
		}
		_, err = d.Token()
		return v, err
	case nil:
		v.text = "-"
	case string:
		if v.text = t; strings.ContainsAny(t, "\n\r\t\x00\x1b") {
			v.text = fmt.Sprintf("%q", t)
		}
	default:
		v.text = fmt.Sprint(t)
	}
	return v, nil
}

func (v *value) print(b *bytes.Buffer, depth int) {
	indent := strings.Repeat("  ", depth)
	if !v.deep {
		fmt.Fprintf(b, "%s%s\n", indent, v.text)
		return
	}
	if len(v.of) == 0 {
		fmt.Fprintf(b, "%snone\n", indent)
	}
	width := 0
	for i, k := range v.keys {
		if !v.of[i].deep {
			width = max(width, len([]rune(k)))
		}
	}
	for i := range v.of {
		x := &v.of[i]
		switch {
		case v.keys == nil && x.deep && i > 0:
			b.WriteByte('\n')
			x.print(b, depth)
		case v.keys == nil:
			x.print(b, depth)
		case x.deep && len(x.of) == 0:
			fmt.Fprintf(b, "%s%s: none\n", indent, v.keys[i])
		case x.deep:
			fmt.Fprintf(b, "%s%s:\n", indent, v.keys[i])
			x.print(b, depth+1)
		default:
			fmt.Fprintf(b, "%s%-*s  %s\n", indent, width, v.keys[i], x.text)
		}
	}
}
