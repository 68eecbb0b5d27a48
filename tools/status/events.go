package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

// sections are the pieces of the page that are drawn anew when they change, by the
// names of their templates, which are the ids of their elements, too.
var sections = []string{"health", "summary", "pgs", "osds", "slow", "pools", "options", "log"}

// hub hands events to those who listen.
type hub struct {
	seed maphash.Seed
	mu   struct {
		sync.Mutex
		listeners map[chan []byte]struct{}
		last      map[string]uint64 // hash of each section as it was sent last
		text      map[string][]byte // and its event, for those who come
		sent      time.Time         // of the newest point that was sent
	}
}

func newHub() *hub {
	h := &hub{seed: maphash.MakeSeed()}
	h.mu.listeners, h.mu.last, h.mu.text = map[chan []byte]struct{}{}, map[string]uint64{}, map[string][]byte{}
	return h
}

// publish sends what has changed in the last second, if somebody listens.
func (h *hub) publish(p *Page) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mu.listeners) == 0 {
		h.mu.last = map[string]uint64{}
		return
	}
	var out bytes.Buffer
	out.Write(h.sectionsLocked(p.rec.view()))
	now := p.src.Now()
	if points := p.rec.news(h.mu.sent); points != nil {
		event(&out, "points", points)
	}
	h.mu.sent = now
	if out.Len() == 0 {
		out.WriteString(": nothing new\n\n")
	}
	for l := range h.mu.listeners {
		select {
		case l <- out.Bytes():
		default: // too slow: it is cut off, and comes back
			close(l)
			delete(h.mu.listeners, l)
		}
	}
}

// sectionsLocked returns the events of sections that differ from what was sent.
func (h *hub) sectionsLocked(v *View) []byte {
	var out bytes.Buffer
	for _, name := range sections {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, name, v); err != nil {
			continue // the page says so when it is loaded
		}
		sum := maphash.Bytes(h.seed, b.Bytes())
		if old, ok := h.mu.last[name]; ok && old == sum {
			continue
		}
		h.mu.last[name] = sum
		var e bytes.Buffer
		event(&e, "section", map[string]string{"id": name, "html": b.String()})
		h.mu.text[name] = e.Bytes()
		out.Write(e.Bytes())
	}
	return out.Bytes()
}

// event writes one event.
func event(b *bytes.Buffer, name string, v any) {
	p, err := json.Marshal(v)
	if err != nil {
		return
	}
	fmt.Fprintf(b, "event: %s\ndata: %s\n\n", name, p)
}

// events serves the changes of the page until the caller goes away.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	f := http.NewResponseController(w)
	l := make(chan []byte, 8)
	h := p.hub
	h.mu.Lock()
	if len(h.mu.listeners) >= maxListeners {
		h.mu.Unlock()
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("there are %d listeners already", maxListeners))
		return
	}
	first := len(h.mu.listeners) == 0
	h.mu.listeners[l] = struct{}{}
	if first {
		h.mu.sent = p.src.Now()
		h.sectionsLocked(p.rec.view())
	}
	var begin bytes.Buffer
	begin.WriteString("retry: 2000\n\n")
	for _, name := range sections {
		begin.Write(h.mu.text[name])
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.mu.listeners, l)
		h.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	_ = f.SetReadDeadline(time.Time{}) // nothing more is to come
	send := func(b []byte) bool {
		// A caller that does not read is not waited for.
		_ = f.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := w.Write(b)
		return err == nil && f.Flush() == nil
	}
	if !send(begin.Bytes()) {
		return
	}
	for {
		select {
		case b, ok := <-l:
			if !ok || !send(b) {
				return
			}
		case <-r.Context().Done():
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// news returns the points after a time, by OSD; nil if there are none.
func (r *recorder) news(after time.Time) map[string]*History {
	r.mu.Lock()
	var ids []int32
	for id := range r.mu.points {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	var out map[string]*History
	for _, id := range ids {
		if h := r.history(id, after); len(h.Time) > 0 {
			if out == nil {
				out = map[string]*History{}
			}
			out[fmt.Sprint(id)] = h
		}
	}
	return out
}
