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

// TestSchema: every counter that is shown is described, and the other way round.
func TestSchema(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	var dump, schema map[string]map[string]any
	must(t, json.Unmarshal(x.tell(`{"prefix":"perf dump"}`).Output, &dump))
	must(t, json.Unmarshal(x.tell(`{"prefix":"perf schema"}`).Output, &schema))
	for _, pair := range [][2]map[string]map[string]any{{dump, schema}, {schema, dump}} {
		for logger, m := range pair[0] {
			for name := range m {
				if pair[1][logger][name] == nil {
					t.Errorf("%s.%s is in one of perf dump and perf schema", logger, name)
				}
			}
		}
	}
	if len(dump["osd"]) < 20 {
		t.Errorf("%d counters", len(dump["osd"]))
	}
}

// TestBench: a bench writes what it says, leaves nothing, and does not ruin clients.
func TestBench(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	meta := func() int {
		ids, _, err := c.store.List(ctx(t), "meta", nil, nil, 0)
		must(t, err)
		return len(ids)
	}
	before := meta()
	var got struct {
		Bytes   int64   `json:"bytes_written"`
		Block   int64   `json:"blocksize"`
		Seconds float64 `json:"elapsed_sec"`
		Speed   float64 `json:"bytes_per_sec"`
		Writes  float64 `json:"iops"`
	}
	r := x.tell(`{"prefix":"bench","count":10000000,"size":3000000}`)
	must(t, json.Unmarshal(r.Output, &got))
	if got.Bytes != 10000000 || got.Block != 3000000 || got.Seconds <= 0 || got.Speed <= 0 || got.Writes <= 0 {
		t.Errorf("%+v", got)
	}
	if n := meta(); n != before {
		t.Errorf("%d objects are left of %d", n, before)
	}
	for words, want := range map[string]ceph.Errno{
		`{"prefix":"bench","count":1000000,"size":1}`:          ceph.EINVAL,
		`{"prefix":"bench","size":100000000}`:                  ceph.EINVAL,
		`{"prefix":"bench","count":0}`:                         ceph.EINVAL,
		`{"prefix":"bench","count":1000000000}`:                ceph.ENOSPC,
		`{"prefix":"cluster_log","level":"x","message":"y"}`:   ceph.EINVAL,
		`{"prefix":"cluster_log","level":"error","message":1}`: ceph.EINVAL,
	} {
		if r := x.tell(words); ceph.Errno(r.Result) != want {
			t.Errorf("%s: %v %s, want %v", words, ceph.Errno(r.Result), r.Text, want)
		}
	}
	x.tell(`{"prefix":"cluster_log","level":"error","message":"a word"}`)
	eventually(t, x.lastLog, "[ERR] a word")
}
