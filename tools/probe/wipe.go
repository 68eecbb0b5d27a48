package probe

import (
	"errors"
	"fmt"
	"io"
)

// ReadWriterAt is a device that can be wiped.
type ReadWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// Wiped says what Wipe removed.
type Wiped struct {
	What  string `json:"what"` // as a refusal calls it
	Bytes int64  `json:"bytes"`
}

// errStubborn is returned when something is recognised however often its marks
// are zeroed.
var errStubborn = errors.New("signatures keep coming back")

// Wipe zeros the marks of everything Examine recognises on w, of our own
// stores first, and looks again, since one format may hide behind another. It
// does not flush. Killed half-way it leaves less recognisable than before.
func Wipe(w ReadWriterAt, size, sector int64, disk string) (list []Wiped, err error) {
	for range 8 {
		rep := Examine(w, size, sector, disk)
		if rep.Err != nil {
			return list, rep.Err
		}
		if rep.Store == nil && rep.Findings == nil {
			return list, nil
		}
		if rep.Store != nil {
			n, err := zeroMarks(w, rep.Store.Marks)
			if err != nil {
				return list, err
			}
			list = append(list, Wiped{rep.Store.String(), n})
		}
		for _, f := range rep.Findings {
			n, err := zeroMarks(w, f.Marks)
			if err != nil {
				return list, err
			}
			list = append(list, Wiped{f.String(), n})
		}
	}
	return list, fmt.Errorf("wipe: %w", errStubborn)
}

func zeroMarks(w io.WriterAt, marks []Mark) (n int64, err error) {
	for _, m := range marks {
		if _, err := w.WriteAt(make([]byte, m.Length), m.Offset); err != nil {
			return n, fmt.Errorf("write %d bytes at %d: %w", m.Length, m.Offset, err)
		}
		n += m.Length
	}
	return n, nil
}
