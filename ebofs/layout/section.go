package layout

import (
	"encoding/binary"
	"fmt"
)

// Values that may grow (root record, cnode, onode, trash) end in sections:
//
//	tag u8 | length uvarint | body
//
// in ascending order of tag. A reader passes over a tag it does not know and keeps
// it when it writes the value again, unless the tag has mustKnow set: then it must
// not use the value at all.
const mustKnow = 0x80

// appendSection appends one section.
func appendSection(dst []byte, tag uint8, body []byte) []byte {
	dst = append(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// nextSection splits off the first section of p.
func nextSection(kind string, last int, p []byte) (tag uint8, body, raw, rest []byte, err error) {
	tag = p[0]
	if int(tag) <= last {
		return 0, nil, nil, nil, malformed(kind, "section", tag, fmt.Sprintf("> %d", last))
	}
	n, w := binary.Uvarint(p[1:])
	if w <= 0 || n > uint64(len(p)-1-w) {
		return 0, nil, nil, nil, malformed(kind, fmt.Sprintf("section %d length", tag), n, fmt.Sprintf("≤ %d", len(p)))
	}
	end := 1 + w + int(n)
	return tag, p[1+w : end : end], p[:end:end], p[end:], nil
}

// unknownSection decides about a tag that the reader does not know.
func unknownSection(kind string, tag uint8) error {
	if tag&mustKnow != 0 {
		return &Corruption{Kind: kind, Field: "section", Got: fmt.Sprint(tag), Err: ErrFeature}
	}
	return nil
}

// checkExtra verifies what an encoder was told to carry along: sections above the
// known ones, in order.
func checkExtra(kind string, last uint8, extra []byte) error {
	at := int(last)
	for len(extra) > 0 {
		tag, _, _, rest, err := nextSection(kind, at, extra)
		if err != nil {
			return err
		}
		at, extra = int(tag), rest
	}
	return nil
}

// The values of trees begin with
//
//	off len field
//	  0   1 type
//	  1   1 version
//	  2   1 min reader
//	  3   1 reserved, zero
//	  4   4 length      of the whole value
const valueHeader = 8

func appendValueHeader(dst []byte, typ, version uint8) []byte {
	return append(dst, typ, version, version, 0, 0, 0, 0, 0)
}

// endValue fills in the length of the value that starts at from.
func endValue(dst []byte, from int) []byte {
	le.PutUint32(dst[from+4:], uint32(len(dst)-from))
	return dst
}

// openValue verifies the header of a value and returns what is behind it.
func openValue(kind string, p []byte, typ, version uint8, fixed, max int) ([]byte, error) {
	if len(p) < valueHeader+fixed {
		return nil, truncated(kind, "value", len(p), valueHeader+fixed)
	}
	if p[0] != typ {
		return nil, &Corruption{Kind: kind, Field: "type", Got: fmt.Sprint(p[0]), Want: fmt.Sprint(typ), Err: ErrBadMagic}
	}
	if p[2] > version {
		return nil, &Corruption{Kind: kind, Field: "min reader", Got: fmt.Sprint(p[2]), Want: fmt.Sprintf("≤ %d", version), Err: ErrNewer}
	}
	if n := le.Uint32(p[4:]); uint64(n) != uint64(len(p)) || len(p) > max {
		return nil, malformed(kind, "length", n, fmt.Sprintf("%d, at most %d", len(p), max))
	}
	return p[valueHeader:], nil
}
