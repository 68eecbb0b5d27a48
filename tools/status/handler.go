package status

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ebofs/cluster/mon"
	"ebofs/tools/metrics"
)

//go:embed assets
var assets embed.FS

// Page is the handler of everything. It is made by New and ended by Close.
type Page struct {
	src   Source
	rec   *recorder
	pics  *pictures
	hub   *hub
	mux   *http.ServeMux
	local bool // the listener is on the loopback interface
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	ticks sync.Mutex // held for a tick
}

// New returns the handler and begins to record. local says that only this host can
// call.
func New(src Source, local bool) *Page {
	if src.Now == nil {
		src.Now = time.Now
	}
	p := &Page{src: src, local: local, mux: http.NewServeMux()}
	p.rec, p.pics, p.hub = newRecorder(&p.src), newPictures(&p.src), newHub()
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.routes()
	p.Tick()
	p.wg.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-p.ctx.Done():
				return
			case <-t.C:
				p.Tick()
			}
		}
	})
	return p
}

// closeTime bounds how long Close waits for figures that are being read: a store that
// hangs does not keep its daemon from ending.
const closeTime = time.Second

// Close ends the recorder and what listens to it.
func (p *Page) Close() {
	p.stop()
	p.wg.Wait()
	read := make(chan struct{})
	go func() { p.rec.readers.Wait(); close(read) }()
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case <-read:
	case <-t.C:
	}
}

// Tick reads all figures anew and tells listeners, as happens each second. It is
// there for tests, whose seconds are short.
func (p *Page) Tick() {
	p.ticks.Lock()
	defer p.ticks.Unlock()
	p.rec.second()
	p.hub.publish(p)
}

func (p *Page) routes() {
	h := p.mux.HandleFunc
	h("GET /{$}", p.index)
	h("GET /assets/{file}", p.asset)
	h("GET /healthz", p.healthz)
	h("GET /readyz", p.readyz)
	h("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.rec.view()) })
	h("GET /api/v1/pgs/{id}", p.pg)
	h("GET /api/v1/history", p.historyOf)
	h("GET /api/v1/osds/{id}/map.png", p.mapPNG)
	h("GET /api/v1/osds/{id}/map", p.mapInfo)
	h("GET /api/v1/events", p.events)
	// What a monitor said a moment ago is what it says now; one that is not asked
	// otherwise is asked by the recorder.
	p.mux.Handle("GET /metrics", metrics.Handler(p.src.metrics(p.cluster)))
	h("GET /debug/pprof/", p.loopback(pprof.Index))
	h("GET /debug/pprof/cmdline", p.loopback(pprof.Cmdline))
	h("GET /debug/pprof/profile", p.loopback(pprof.Profile))
	h("GET /debug/pprof/symbol", p.loopback(pprof.Symbol))
	h("GET /debug/pprof/trace", p.loopback(pprof.Trace))
}

func (p *Page) cluster() *mon.Overview {
	p.rec.mu.Lock()
	defer p.rec.mu.Unlock()
	return p.rec.mu.cluster
}

// policy is what the page may do (S1). Styles of elements are set by the plot
// script through the DOM, which it does not concern.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if p.local && !localName(r.Host) {
		// A page of somebody else's whose name points here wants to read ours.
		http.Error(w, "this listener is for this host: call it by 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// localName reports whether a Host header names this host as itself.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// loopback lets only callers of this host in.
func (p *Page) loopback(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !a.Addr().Unmap().IsLoopback() {
			http.Error(w, "profiles are for callers of this host", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// index is the page.
func (p *Page) index(w http.ResponseWriter, r *http.Request) {
	v := p.rec.view()
	q := r.URL.Query()
	if id := q.Get("pg"); id != "" {
		v.PG = v.findPG(id)
	}
	v.Still = q.Has("still") // for a picture, which waits for whatever is being loaded
	if n, err := strconv.ParseInt(q.Get("osd"), 10, 32); err == nil && n >= 0 {
		v.Picked = int32(n)
	}
	v.History = p.rec.history(v.Picked, time.Time{})
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "page.html", v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func (v *View) findPG(id string) *mon.PGStatus {
	if v.Cluster != nil {
		for i := range v.Cluster.PGs {
			if v.Cluster.PGs[i].Name == id {
				return &v.Cluster.PGs[i]
			}
		}
	}
	return nil
}

// asset serves scripts and styles.
func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if strings.HasSuffix(name, ".html") {
		http.NotFound(w, r)
		return
	}
	f, err := fs.Sub(assets, "assets")
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, f, name)
}

// healthz says that the process lives: that it answers is the answer.
func (p *Page) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyz says whether it serves.
func (p *Page) readyz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if p.src.Ready != nil {
		if err := p.src.Ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
	}
	fmt.Fprintln(w, "ready")
}

func (p *Page) pg(w http.ResponseWriter, r *http.Request) {
	g := p.rec.view().findPG(r.PathValue("id"))
	if g == nil {
		refuse(w, http.StatusNotFound, "no PG of that id")
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		fragment(w, "pg", g)
		return
	}
	answer(w, g)
}

// historyOf answers the points of one OSD, or of all.
func (p *Page) historyOf(w http.ResponseWriter, r *http.Request) {
	id := int64(all)
	if s := r.URL.Query().Get("osd"); s != "" {
		var err error
		if id, err = strconv.ParseInt(s, 10, 32); err != nil || id < int64(all) {
			refuse(w, http.StatusBadRequest, "osd: want the number of an OSD")
			return
		}
	}
	answer(w, p.rec.history(int32(id), time.Time{}))
}

// picture finds the picture a request is about.
func (p *Page) picture(w http.ResponseWriter, r *http.Request) (*drawn, int32, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil || id < 0 {
		refuse(w, http.StatusBadRequest, "want the number of an OSD")
		return nil, 0, false
	}
	epoch := uint64(0)
	if s := r.URL.Query().Get("epoch"); s != "" {
		if epoch, err = strconv.ParseUint(s, 10, 64); err != nil {
			refuse(w, http.StatusBadRequest, "epoch: want a number")
			return nil, 0, false
		}
	}
	d, err := p.pics.get(r.Context(), int32(id), epoch)
	switch {
	case errors.Is(err, errNoPicture):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	default:
		return d, int32(id), true
	}
	return nil, 0, false
}

func (p *Page) mapPNG(w http.ResponseWriter, r *http.Request) {
	if d, _, ok := p.picture(w, r); ok {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(d.png)
	}
}

// mapInfo answers the numbers of a picture, or, with ?cell=, of one cell.
func (p *Page) mapInfo(w http.ResponseWriter, r *http.Request) {
	d, id, ok := p.picture(w, r)
	if !ok {
		return
	}
	s := r.URL.Query().Get("cell")
	if s == "" {
		answer(w, d.info(id))
		return
	}
	n, err := strconv.Atoi(s)
	if c := d.cell(n); err == nil && c != nil {
		p.pics.owners(r.Context(), id, d.epoch, c)
		answer(w, c)
		return
	}
	refuse(w, http.StatusNotFound, "no cell of that number")
}

// answer writes JSON.
func answer(w http.ResponseWriter, v any) {
	p, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(p, '\n'))
}

// refuse writes an error as JSON.
func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
}

// fragment writes a piece of the page.
func fragment(w http.ResponseWriter, name string, v any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
