package msg

import (
	"bytes"
	"fmt"

	"ebofs/cluster/denc"
)

// Kind says what a message is and how its front is laid out.
type Kind struct {
	Type    Type
	Version uint16 // of the layout
	Compat  uint16 // the oldest version whose decoder can read it
}

// Payload is the content of a message.
type Payload interface {
	// Kind returns type and version as Encode writes them.
	Kind() Kind
	// Encode appends the front.
	Encode(front *denc.Encoder)
}

// Bulk is implemented by payloads with a data segment.
type Bulk interface {
	// Data returns the parts of the data segment, in order. They are not copied.
	Data() [][]byte
}

// decoder reads the front of one type. d ends where the front does; data is the
// data segment.
type decoder struct {
	know   uint16 // newest compat that can be read
	decode func(d *denc.Decoder, version uint16, data []byte) Payload
}

var decoders = map[Type]decoder{}

// register is called by init functions of the files that define payloads.
func register(t Type, know uint16, decode func(d *denc.Decoder, version uint16, data []byte) Payload) {
	if _, twice := decoders[t]; twice {
		panic("msg: " + t.String() + " registered twice")
	}
	decoders[t] = decoder{know, decode}
}

// Known reports whether Decode can read messages of type t.
func (t Type) Known() bool {
	_, ok := decoders[t]
	return ok
}

// Pack puts a payload into an envelope.
func Pack(p Payload) *Message {
	k := p.Kind()
	var front denc.Encoder
	p.Encode(&front)
	m := &Message{Type: k.Type, Version: k.Version, Compat: k.Compat, Front: front.Bytes()}
	if b, ok := p.(Bulk); ok {
		if parts := b.Data(); len(parts) == 1 {
			m.Data = parts[0]
		} else {
			m.Data = bytes.Join(parts, nil)
		}
	}
	return m
}

// Unpack reads the content of a message. Bytes that a newer writer appended to
// the front are skipped. The error of an unknown type or version wraps
// denc.ErrIncompatible, of anything else denc.ErrMalformed.
func Unpack(m *Message) (Payload, error) {
	c, ok := decoders[m.Type]
	if !ok {
		return nil, fmt.Errorf("message %v: %w", m.Type, denc.ErrIncompatible)
	}
	if m.Compat > c.know {
		return nil, fmt.Errorf("message %v of version %d: %w", m.Type, m.Version, denc.ErrIncompatible)
	}
	d := denc.NewDecoder(m.Front)
	p := c.decode(d, m.Version, m.Data)
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("message %v: %w", m.Type, err)
	}
	return p, nil
}
