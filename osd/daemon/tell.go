package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
	"ebofs/internal/asok"
)

// version is what clients are told.
const version = "ebofs, speaking Ceph 16.2 (pacific)"

// tellsAtOnce bounds the commands that run; more wait for their turn.
const tellsAtOnce = 16

// tell answers `ceph tell osd.N` on a goroutine of its own.
func (o *OSD) tell(s *session, in *msg.Message, p *msg.Command) {
	words := slices.Clone(p.Words)
	tid := in.TID
	o.wg.Go(func() {
		select {
		case o.tells <- struct{}{}:
			defer func() { <-o.tells }()
		case <-o.ctx.Done():
			return
		}
		output, err := o.told(s, words)
		a := msg.Answer{Output: output}
		if err != nil {
			var no syscall.Errno
			var e ceph.Errno
			switch a.Text = err.Error(); {
			case errors.As(err, &no):
				a.Result = -int32(no)
			case errors.As(err, &e):
				a.Result = int32(e)
			default:
				a.Result = int32(ceph.EIO)
			}
		}
		out := msg.Pack(&msg.CommandReply{Answer: a})
		out.TID = tid
		_ = s.conn.Send(out)
	})
}

// told carries out one command.
func (o *OSD) told(s *session, words []string) ([]byte, error) {
	switch {
	case len(words) != 1:
		return nil, fmt.Errorf("a command is one JSON object: %w", syscall.EINVAL)
	case !s.all && !o.allowedTell(s):
		return nil, fmt.Errorf("access denied: %w", syscall.EACCES)
	}
	var c struct {
		Prefix string `json:"prefix"`
	}
	if err := json.Unmarshal([]byte(words[0]), &c); err != nil {
		return nil, fmt.Errorf("a command is one JSON object: %w", syscall.EINVAL)
	}
	t := asok.NewTable(o.Commands()...)
	if o.cfg.Commands != nil {
		t.Add(o.cfg.Commands()...)
	}
	if c.Prefix == "get_command_descriptions" {
		return json.Marshal(t.Descriptions())
	}
	return t.Do(o.ctx, []byte(words[0]))
}

// allowedTell: who may do anything here may also ask.
func (o *OSD) allowedTell(s *session) bool {
	return s.caps.Allow(cephx.OSDRequest{Read: true, Write: true, From: s.addr.IP.Addr()})
}
