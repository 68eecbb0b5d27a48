package verb

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// envelope is the frame of every JSON result; the verb's own fields follow.
type envelope struct {
	Schema string         `json:"schema"`
	OK     bool           `json:"ok"`
	Exit   int            `json:"exit"`
	Error  *envelopeError `json:"error"`
}

type envelopeError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Errno   string `json:"errno,omitempty"` // symbolic: "EBUSY"
	Hint    string `json:"hint,omitempty"`
}

// finish writes the envelope (none in plain format) and returns the exit code.
func (c *Call) finish(f *Failure) int {
	exit := c.exit
	if f != nil {
		exit = f.Exit
	}
	if c.Format != Plain {
		line, err := c.envelope(f, exit)
		c.keep(0, err)
		c.keep(c.out.Write(append(line, '\n')))
	}
	c.Flush()
	if c.outErr != nil {
		fmt.Fprintf(c.Err, "%s: writing the result: %v\n", c.Name(), c.outErr)
		if exit == 0 {
			exit = c.verb.Codes.withDefaults().Failure
		}
	}
	return exit
}

// envelope encodes the frame with the verb's fields and rows spliced in.
func (c *Call) envelope(f *Failure, exit int) ([]byte, error) {
	schema, rowsKey := c.verb.Schema, c.verb.Rows
	if c.action != nil && c.action.Schema != "" {
		schema = c.action.Schema
	}
	if c.action != nil && c.action.Rows != "" {
		rowsKey = c.action.Rows
	}
	e := envelope{Schema: schema, OK: exit == 0, Exit: exit}
	if f != nil {
		e.Error = &envelopeError{Code: f.Code, Message: f.Message, Errno: errnoName(f.Err), Hint: f.Hint}
	}
	doc, err := marshal(e)
	if err != nil {
		return nil, err
	}
	if c.result != nil {
		fields, err := marshal(c.result)
		if err != nil {
			return doc, err
		}
		doc = splice(doc, fields)
	}
	if c.Format != JSONLines && (c.rows != nil || rowsKey != "" && f == nil) {
		if rowsKey == "" {
			rowsKey = "rows"
		}
		var list bytes.Buffer
		fmt.Fprintf(&list, "{%q:[", rowsKey)
		for i, r := range c.rows {
			if i > 0 {
				list.WriteByte(',')
			}
			list.Write(r)
		}
		list.WriteString("]}")
		doc = splice(doc, list.Bytes())
	}
	if c.Format == JSONPretty {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, doc, "", "  "); err != nil {
			return doc, err
		}
		doc = pretty.Bytes()
	}
	return doc, nil
}

// splice joins two encoded objects into one; fields that is no object or an
// empty one leaves doc as it is.
func splice(doc, fields []byte) []byte {
	if len(fields) < 3 || fields[0] != '{' {
		return doc
	}
	return append(append(doc[:len(doc)-1:len(doc)-1], ','), fields[1:]...)
}

// marshal is json.Marshal without the escapes meant for web pages.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
