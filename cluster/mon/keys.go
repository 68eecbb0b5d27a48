package mon

import (
	"encoding/json"
	"fmt"
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
)

// Keys of the quorum's store. Numbers are padded, so that lists are in order.
const (
	keyMonMap      = "monmap"
	keyEpoch       = "osdmap/last"  // u32
	prefixFull     = "osdmap/full/" // epoch: full map
	prefixInc      = "osdmap/inc/"  // epoch: increment
	prefixAuth     = "auth/"        // entity: key and caps
	keyRotating    = "auth-rotating"
	keyGlobalID    = "auth-gid"    // u64: next range begins here
	prefixConfig   = "config/"     // who/option: value
	prefixKV       = "config-key/" // key: value
	prefixOSD      = "osd-meta/"   // id: JSON of what it said of itself
	prefixCreating = "creating/"   // pool: PGs to be made
	prefixMon      = "mon-meta/"   // name: likewise
	prefixMute     = "mute/"       // code of a health check: JSON
	prefixHistory  = "config-log/" // number: JSON of a change of the configuration
	prefixLog      = "log/"        // number: entry
	keyLog         = "log-last"    // u64: number of the newest entry
	keptEpochs     = 500           // of OSD maps, at least; clients further behind get a full one
	fullEvery      = 100           // epochs: which full maps are kept
	keptLog        = 2000
	keptHistory    = 100  // changes of the configuration
	globalIDRange  = 1000 // taken at once: one write of the quorum for so many logins
	firstGlobalID  = 4096
)

func epochKey(prefix string, e ceph.Epoch) string { return fmt.Sprintf("%s%010d", prefix, e) }
func osdKey(id int32) string                      { return fmt.Sprintf("%s%d", prefixOSD, id) }
func historyKey(n uint64) string                  { return fmt.Sprintf("%s%010d", prefixHistory, n) }
func logKey(n uint64) string                      { return fmt.Sprintf("%s%020d", prefixLog, n) }

func number(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

func parseNumber(p []byte) (uint64, error) { return strconv.ParseUint(string(p), 10, 64) }

// encodeEntity writes an entity's key and caps.
func encodeEntity(n cephx.Entity) []byte {
	var e denc.Encoder
	m := e.Begin(1, 1)
	n.Key.Encode(&e)
	denc.PutMap(&e, n.Caps, func(e *denc.Encoder, t ceph.EntityType) { e.U8(uint8(t)) }, (*denc.Encoder).Str)
	e.End(m)
	return e.Bytes()
}

func decodeEntity(p []byte) (n cephx.Entity, err error) {
	d := denc.NewDecoder(p)
	s := d.Begin(1)
	n.Key = cephx.DecodeKey(d)
	n.Caps = denc.Map(d, 5, func(d *denc.Decoder) ceph.EntityType { return ceph.EntityType(d.U8()) }, (*denc.Decoder).Str)
	d.End(s)
	return n, d.Finish()
}

func encodeMeta(m map[string]string) []byte {
	p, err := json.Marshal(m)
	if err != nil {
		return nil // cannot be: strings
	}
	return p
}
