package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd/track"
)

// slowAgain is how often slow requests are complained of while there are no more
// than before.
const slowAgain = time.Minute

// complaints is what was said of slow requests.
type complaints struct {
	mu       sync.Mutex
	reported bool // the last report had some
	count    int  // as said in the cluster's log
	at       time.Time
}

// slow returns what the health of the cluster is to know of slow requests, and says
// in the cluster's log what they wait for. News are slow requests, or that there are
// none any more.
func (o *OSD) slow(m *osdmap.Map) (list []msg.HealthMetric, news bool) {
	s := o.track.Slow()
	o.complain.mu.Lock()
	defer o.complain.mu.Unlock()
	if now := o.cfg.Now(); s.Count > o.complain.count || s.Count > 0 && now.Sub(o.complain.at) >= slowAgain {
		o.complain.at = now
		waits, pools := s.Waits, s.Pools
		most := slices.MaxFunc(slices.Collect(maps.Keys(pools)), func(a, b ceph.PoolID) int { return pools[a] - pools[b] })
		var types []string
		for _, w := range slices.Sorted(maps.Keys(waits)) {
			types = append(types, fmt.Sprintf("'%v' : %d", w, waits[w]))
		}
		o.clog(msg.LogWarn, "%d slow requests (by type [ %s ] most affected pool [ '%s' : %d ])", s.Count, strings.Join(types, " "), m.PoolNames[most], pools[most])
		at := track.Initiated
		if n := len(s.First.Marks); n > 0 {
			at = s.First.Marks[n-1].Stage
		}
		o.log.Warn("slow request", "osd", o.cfg.ID, "op", s.First.String(), "age", s.Oldest.Round(time.Millisecond), "waits", at.String())
	}
	o.complain.count = s.Count
	news = s.Count > 0 || o.complain.reported
	o.complain.reported = s.Count > 0
	return []msg.HealthMetric{{Kind: msg.HealthSlowOps, Count: uint32(s.Count), Second: uint32(s.Oldest / time.Second)}}, news
}
