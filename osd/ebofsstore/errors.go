package ebofsstore

import (
	"errors"

	"ebofs/ebofs"
	"ebofs/osd"
)

// sentinels pairs what ebofs answers with what osd calls it.
var sentinels = [...]struct{ from, to error }{
	{ebofs.ErrNotFound, osd.ErrNotFound},
	{ebofs.ErrExists, osd.ErrExists},
	{ebofs.ErrNotEmpty, osd.ErrNotEmpty},
	{ebofs.ErrNoSpace, osd.ErrNoSpace},
	{ebofs.ErrTooLarge, osd.ErrTooLarge},
	{ebofs.ErrInvalid, osd.ErrInvalid},
	{ebofs.ErrUnsupported, osd.ErrUnsupported},
	{ebofs.ErrCorrupt, osd.ErrCorrupt},
	{ebofs.ErrClosed, osd.ErrClosed},
	{ebofs.ErrReadOnly, osd.ErrReadOnly},
}

// storeError is an error of ebofs that is also one of osd.
type storeError struct {
	error
	kind error
}

// Unwrap lets errors.Is find both.
func (e *storeError) Unwrap() []error { return []error{e.error, e.kind} }

// translate adds the sentinel of osd.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, s := range sentinels {
		if errors.Is(err, s.from) {
			return &storeError{err, s.to}
		}
	}
	return err
}
