package crush

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"ebofs/cluster/crush"
	"ebofs/tools/output"
	"ebofs/tools/verb"
)

// form is a way to write a map.
type form string

const (
	binary     form = "binary"
	text       form = "text"
	jsonPlain  form = "json"
	jsonPretty form = "json-pretty"
	xmlPlain   form = "xml"
)

// maxBytes bounds a file. The largest maps there are have some megabytes.
const maxBytes = 256 << 20

// read reads a map in any form.
func read(c *verb.Call, path string) (*crush.Map, error) {
	in := c.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	p, err := io.ReadAll(io.LimitReader(in, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(p) > maxBytes {
		return nil, invalid(path, fmt.Errorf("more than %d MiB", maxBytes>>20))
	}
	m, err := parse(p)
	if err != nil {
		return nil, invalid(path, err)
	}
	return m, nil
}

// parse tells the forms by how they begin: a text never begins like the others.
func parse(p []byte) (*crush.Map, error) {
	head := bytes.TrimLeft(p, " \t\r\n")
	switch {
	case len(p) == 0:
		return nil, fmt.Errorf("empty: %w", crush.ErrInvalid)
	case bytes.HasPrefix(p, []byte{0, 0, 1, 0}):
		return crush.Decode(p)
	case bytes.HasPrefix(head, []byte("{")):
		return crush.FromJSON(p)
	case bytes.HasPrefix(head, []byte("<")):
		return crush.FromXML(p)
	case bytes.IndexByte(p, 0) >= 0:
		return nil, fmt.Errorf("neither a CRUSH map nor a text of one: %w", crush.ErrInvalid)
	}
	return crush.Compile(p)
}

// write returns m in a form.
func write(m *crush.Map, f form) ([]byte, error) {
	switch f {
	case binary:
		return m.Encode()
	case text:
		return m.Decompile()
	}
	d, err := m.Dump()
	if err != nil {
		return nil, err
	}
	if f == xmlPlain {
		p, err := d.XML()
		return append(p, '\n'), err
	}
	p, err := d.JSON()
	if err == nil && f == jsonPretty {
		var b bytes.Buffer
		err = json.Indent(&b, p, "", "    ")
		p = b.Bytes()
	}
	return append(p, '\n'), err
}

// convert writes the map of the one operand in another form. A map that is not
// valid is not made, but may be looked at.
func convert(c *verb.Call, f form, out string) error {
	switch f {
	case binary, text, jsonPlain, jsonPretty, xmlPlain:
	default:
		return verb.Usage(fmt.Sprintf("--as %q: it is json, json-pretty, xml, text or binary", f))
	}
	if f == binary && out == "" && c.OutTerminal {
		return verb.Usage("a binary map is nothing for a terminal: use --output")
	}
	if out == "" && !c.Plain() {
		return verb.Usage("the map itself is the plain result: use --output for another --format")
	}
	path := c.Args[0]
	m, err := read(c, path)
	if err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		if f == binary {
			return invalid(path, err)
		}
		c.Notef("the map is not valid: %s", invalid(path, err).Message)
	}
	p, err := write(m, f)
	if err != nil {
		return invalid(path, err)
	}
	c.Set(summary{Bytes: len(p), Devices: int(m.MaxDevices), Output: out})
	if out == "" {
		_, err = c.Binary().Write(p)
		return err
	}
	return output.Write(out, p)
}

// summary is the JSON result of a conversion; the map itself is the plain one.
type summary struct {
	Bytes   int    `json:"bytes"`
	Devices int    `json:"max_devices"`
	Output  string `json:"output"`
}
