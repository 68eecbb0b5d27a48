package pg

import "ebofs/osd"

// cut is what a log is about to forget: entries, of which dups stay, and the oldest
// dups. It is no more than a plan until the store has taken it.
type cut struct {
	entries []*logged
	batches []*batch // made of them
	drop    int      // batches of before
	last    string   // key of the oldest entry that stays
	lastDup string   // of the oldest batch that stays
}

// cut returns what the log is to forget if it is to have most entries and know known
// requests; nil: nothing yet. An entry that is not durable stays: who repeats it has
// to wait.
func (l *log) cut(most, known int) *cut {
	if len(l.entries) < most+logSlack {
		return nil
	}
	n := 0
	for n < len(l.entries)-most && l.entries[n].durable { // the newest is not
		n++
	}
	if n < logSlack {
		return nil
	}
	c := &cut{entries: l.entries[:n:n], last: l.entries[n].key(), lastDup: lastDupKey}
	old := make([]*Entry, n)
	for i, e := range c.entries {
		old[i] = &e.Entry
	}
	c.batches = pack(old)

	all := append(l.dups.batches[:len(l.dups.batches):len(l.dups.batches)], c.batches...)
	know := len(l.byID) + l.dups.n
	for c.drop < len(all) && know-all[c.drop].n >= known {
		know -= all[c.drop].n
		c.drop++
	}
	if c.drop < len(all) {
		c.lastDup = all[c.drop].key
	}
	if more := c.drop - len(l.dups.batches); more > 0 {
		c.batches, c.drop = c.batches[more:], len(l.dups.batches)
	}
	return c
}

// addTo appends to t what the store is to forget, and the dups instead.
func (c *cut) addTo(t *osd.Transaction, coll osd.CollectionID, meta osd.ObjectID) {
	t.OmapRmRange(coll, meta, firstLogKey, c.last)
	if len(c.batches) > 0 {
		kv := map[string][]byte{}
		for _, b := range c.batches {
			kv[b.key] = b.value
		}
		t.OmapSet(coll, meta, kv)
	}
	if c.drop > 0 {
		t.OmapRmRange(coll, meta, firstDupKey, c.lastDup)
	}
}

// forget does what c says, when the store has it.
func (l *log) forget(c *cut) {
	for _, e := range c.entries {
		if l.byID[e.ReqID] == e {
			delete(l.byID, e.ReqID)
		}
	}
	l.entries = append([]*logged(nil), l.entries[len(c.entries):]...)
	l.dups.drop(c.drop)
	for _, b := range c.batches {
		l.dups.add(b)
	}
}

// queue queues a request's transaction with what the log forgets on the occasion, and
// returns that, nil if there was no room for it: a request that frees space is not
// refused for what a trim takes, which waits for a later one.
func (p *PG) queue(txn *osd.Transaction, c *cut, committed func(error)) (*cut, error) {
	if c != nil {
		both := &osd.Transaction{}
		both.Append(txn)
		c.addTo(both, p.env.Coll, metaObject(p.cfg.PG))
		if err := p.cfg.Store.Queue(p.ctx, both, nil, committed); err == nil || !refused(err) {
			return c, err
		}
	}
	return nil, p.cfg.Store.Queue(p.ctx, txn, nil, committed)
}
