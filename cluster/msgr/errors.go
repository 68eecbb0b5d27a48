package msgr

import (
	"errors"
	"fmt"

	"ebofs/cluster/msgr/frame"
)

var (
	// ErrClosed is returned for a connection or messenger that was closed.
	ErrClosed = errors.New("connection closed")

	// ErrOverflow is returned by Send when the room for messages to be sent is used
	// up. A lossy session is reset then, as its peer reads too slowly.
	ErrOverflow = errors.New("send queue is full")

	// ErrTooLarge is returned by Send for a message above Options.MaxMessageBytes.
	ErrTooLarge = errors.New("message is too large")

	// ErrProtocol is wrapped by errors about a peer that breaks the protocol.
	ErrProtocol = errors.New("protocol error")

	// ErrFeatures is wrapped when one side lacks what the other requires.
	ErrFeatures = errors.New("required features are missing")

	errIdle    = errors.New("connection was idle")
	errStalled = errors.New("peer is too slow")
	errWait    = errors.New("peer dials us at the same time")
	errStopped = errors.New("replaced or closed")
)

func protocol(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrProtocol)
}

func outOfState(t frame.Tag) error { return protocol("unexpected %v", t) }

func tooLong(h frame.Head) error { return protocol("%v of %d bytes", h.Tag, h.Bytes()) }
