package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeMonCommand, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload {
		return &MonCommand{paxos(d), command(d, data)}
	})
	register(TypeMonCommandAck, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload {
		return &MonCommandAck{paxos(d), d.I32(), d.Str(), denc.Slice(d, 4, (*denc.Decoder).Str), data}
	})
	register(TypeCommand, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload { return &Command{command(d, data)} })
	register(TypeMgrCommand, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload {
		return &MgrCommand{command(d, data)}
	})
	register(TypeCommandReply, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload {
		return &CommandReply{commandReply(d, data)}
	})
	register(TypeMgrCommandReply, 1, func(d *denc.Decoder, _ uint16, data []byte) Payload {
		return &MgrCommandReply{commandReply(d, data)}
	})
}

// Request is a command to a daemon: one JSON object, as text, with "prefix" and
// arguments. Input is bulk input in the data segment.
type Request struct {
	FSID  ceph.UUID
	Words []string
	Input []byte
}

// Data returns the bulk input.
func (r *Request) Data() [][]byte { return [][]byte{r.Input} }

// Encode appends id and words.
func (r *Request) Encode(e *denc.Encoder) {
	r.FSID.Encode(e)
	denc.PutSlice(e, r.Words, (*denc.Encoder).Str)
}

func command(d *denc.Decoder, data []byte) Request {
	return Request{ceph.DecodeUUID(d), denc.Slice(d, 4, (*denc.Decoder).Str), data}
}

// Answer is what a daemon answers to a command.
type Answer struct {
	Result int32  // 0 or a negative errno
	Text   string // for people: what went wrong, or what was done
	Output []byte // data segment
}

// Data returns the output.
func (a *Answer) Data() [][]byte { return [][]byte{a.Output} }

// Encode appends result and text.
func (a *Answer) Encode(e *denc.Encoder) {
	e.I32(a.Result)
	e.Str(a.Text)
}

func commandReply(d *denc.Decoder, data []byte) Answer { return Answer{d.I32(), d.Str(), data} }

// MonCommand is a command to the monitors.
type MonCommand struct {
	Paxos
	Request
}

// Kind returns mon_command v1.
func (m *MonCommand) Kind() Kind { return Kind{TypeMonCommand, 1, 1} }

// Encode appends the front.
func (m *MonCommand) Encode(e *denc.Encoder) {
	m.encode(e)
	m.Request.Encode(e)
}

// MonCommandAck answers MonCommand; it echoes the command's words.
type MonCommandAck struct {
	Paxos
	Result int32
	Text   string
	Words  []string
	Output []byte
}

// Kind returns mon_command_ack v1.
func (m *MonCommandAck) Kind() Kind { return Kind{TypeMonCommandAck, 1, 1} }

// Data returns the output.
func (m *MonCommandAck) Data() [][]byte { return [][]byte{m.Output} }

// Encode appends the front.
func (m *MonCommandAck) Encode(e *denc.Encoder) {
	m.encode(e)
	e.I32(m.Result)
	e.Str(m.Text)
	denc.PutSlice(e, m.Words, (*denc.Encoder).Str)
}

// Command is a command to one daemon: `ceph tell`.
type Command struct{ Request }

// Kind returns command v1.
func (m *Command) Kind() Kind { return Kind{TypeCommand, 1, 1} }

// CommandReply answers Command.
type CommandReply struct{ Answer }

// Kind returns command_reply v1.
func (m *CommandReply) Kind() Kind { return Kind{TypeCommandReply, 1, 1} }

// MgrCommand is a command to the manager.
type MgrCommand struct{ Request }

// Kind returns mgr_command v1.
func (m *MgrCommand) Kind() Kind { return Kind{TypeMgrCommand, 1, 1} }

// MgrCommandReply answers MgrCommand.
type MgrCommandReply struct{ Answer }

// Kind returns mgr_command_reply v1.
func (m *MgrCommandReply) Kind() Kind { return Kind{TypeMgrCommandReply, 1, 1} }
