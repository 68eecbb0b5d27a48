package msgr

import "ebofs/cluster/msg"

// Dispatcher is a daemon as its messenger sees it.
//
// Calls for one connection come one after the other, those for several at once.
// Each holds up its own connection, so none waits for a message or for room in
// a queue; all may Send, MarkDown and Connect, and none may call Shutdown. After
// Shutdown has returned none comes.
type Dispatcher interface {
	// HandleMessage takes a message, in the order it was sent within one priority.
	// The bytes are the handler's; see msg.Message for Hold and Release.
	HandleMessage(*Conn, *msg.Message)
	// HandleAccept is told of a session that a peer opened, before its first
	// message. An error refuses it and closes the connection.
	HandleAccept(*Conn) error
	// HandleConnect is told that a session this side dialled is ready, each time.
	HandleConnect(*Conn)
	// HandleReset is told that a lossy session is over; the Conn is closed, and what
	// was not answered has to be sent again on another.
	HandleReset(*Conn)
	// HandleRemoteReset is told that the peer of a lossless session has forgotten it:
	// messages in both directions may be lost. The session goes on as a new one.
	HandleRemoteReset(*Conn)
	// HandleRefused is told that a session could not be opened: nobody listens, or
	// the peer refused us. The messenger tries again, later each time, until
	// MarkDown.
	HandleRefused(*Conn, error)
}

// NopDispatcher does nothing; embed it to implement a part of Dispatcher.
type NopDispatcher struct{}

// HandleMessage drops the message.
func (NopDispatcher) HandleMessage(*Conn, *msg.Message) {}

// HandleAccept takes every session.
func (NopDispatcher) HandleAccept(*Conn) error { return nil }

// HandleConnect does nothing.
func (NopDispatcher) HandleConnect(*Conn) {}

// HandleReset does nothing.
func (NopDispatcher) HandleReset(*Conn) {}

// HandleRemoteReset does nothing.
func (NopDispatcher) HandleRemoteReset(*Conn) {}

// HandleRefused does nothing.
func (NopDispatcher) HandleRefused(*Conn, error) {}
