package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// tell asks the OSD as `ceph tell osd.0` does.
func (x *client) tell(words string) *msg.CommandReply {
	x.t.Helper()
	x.mu.Lock()
	x.tid++
	tid, ch := x.tid, make(chan *msg.CommandReply, 1)
	x.told[tid] = ch
	out := msg.Pack(&msg.Command{Request: msg.Request{FSID: x.maps.FSID, Words: []string{words}}})
	out.TID = tid
	to := x.maps.Client[0]
	x.mu.Unlock()
	must(x.t, x.m.Send(to, ceph.TypeOSD, msgr.LossyClient, out))
	select {
	case r := <-ch:
		return r
	case <-time.After(30 * time.Second):
		x.t.Fatalf("%s: no answer", words)
		return nil
	}
}

// TestTell: the table of commands, and what requests have left in it.
func TestTell(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	x.do("p", "o", writeFull("hello"))
	x.do("p", "o", read())
	for _, try := range []struct {
		words string
		want  []string
		errno ceph.Errno
	}{
		{`{"prefix":"get_command_descriptions"}`, []string{`"sig":["dump_historic_ops"]`, `"sig":["perf","dump"`}, 0},
		{`{"prefix":"status"}`, []string{`"whoami": 0`, `"state": "active"`, `"num_pgs": 1`}, 0},
		{`{"prefix":"dump_ops_in_flight","format":"json"}`, []string{`{"ops":[],"num_ops":0}`}, 0},
		{`{"prefix":"dump_historic_ops"}`, []string{`:::o:head [writefull 0~5]`, `:::o:head [read 0~0]`, `"event": "waiting for commit"`, `"event": "op_commit"`}, 0},
		{`{"prefix":"perf dump","logger":"osd","counter":"op_w_in_bytes","format":"json"}`, []string{`{"osd":{"op_w_in_bytes":5}}`}, 0},
		{`{"prefix":"pg","pgid":"1.0","cmd":"query"}`, []string{`"state": "active+clean"`, `"num_objects": 1`}, 0},
		{`{"prefix":"query","pgid":"7.0"}`, nil, ceph.ENOENT},
		{`{"prefix":"query","pgid":"here"}`, nil, ceph.EINVAL},
		{`{"prefix":"sing"}`, nil, ceph.EINVAL},
		{`nonsense`, nil, ceph.EINVAL},
	} {
		r := x.tell(try.words)
		if ceph.Errno(r.Result) != try.errno {
			t.Errorf("%s: %v %s", try.words, ceph.Errno(r.Result), r.Text)
		}
		for _, w := range try.want {
			if !strings.Contains(string(r.Output), w) {
				t.Errorf("%s: no %s in %s", try.words, w, r.Output)
			}
		}
	}
	var perf struct {
		OSD struct {
			Op      uint64
			Latency struct {
				Count uint64  `json:"avgcount"`
				Sum   float64 `json:"sum"`
			} `json:"op_latency"`
		}
	}
	must(t, json.Unmarshal(x.tell(`{"prefix":"perf dump"}`).Output, &perf))
	if perf.OSD.Op != 2 || perf.OSD.Latency.Count != 2 || perf.OSD.Latency.Sum <= 0 {
		t.Errorf("counters %+v", perf)
	}
}
