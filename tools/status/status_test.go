package status_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ebofs/osd/daemon"
	"ebofs/tools/status"
	"ebofs/tools/status/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var logger = slog.New(slog.DiscardHandler)

// page is the fixture after so many seconds of its life.
func page(t *testing.T, seconds int) (*status.Page, *fixture.Fixture) {
	t.Helper()
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p := status.New(f.Source(), true)
	t.Cleanup(func() {
		p.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	for range seconds {
		f.Advance()
		p.Tick()
	}
	return p, f
}

// get asks for a path and expects a status.
func get(t *testing.T, p http.Handler, path string, want int) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "http://127.0.0.1:9283"+path, nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s: status %d, want %d: %s", path, w.Code, want, w.Body)
	}
	return w
}

func TestPage(t *testing.T) {
	p, _ := page(t, 600)
	w := get(t, p, "/?pg=1.1f&osd=1", 200)
	for _, want := range []string{
		"Action is needed", "1 error, 2 warnings", "12\u202f040 objects to copy; 241 a second, 58.0 MiB/s, about 49 s left", "2 of 3", "muted", "1 osd down", "start it: systemctl start ebofs-osd@4", `title="1.1f active`,
		"a repair of what is damaged", "up · nearly full", "noout", `class="p50" d="M`, "rbd_header.1f3a", "waiting for rw locks", "mon_allow_pool_size_one", "Kept epochs",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Index(w.Body.String(), "PG_DAMAGED") > strings.Index(w.Body.String(), "OSD_DOWN") {
		t.Error("an error stands behind a warning")
	}
	if c := w.Header().Get("Content-Security-Policy"); !strings.Contains(c, "default-src 'none'") {
		t.Errorf("policy %q", c)
	}
	for _, bad := range []string{"style=", "onclick=", "http://", "https://"} {
		if strings.Contains(w.Body.String(), bad) {
			t.Errorf("%q is on the page, which its policy forbids", bad)
		}
	}
}

func TestAPI(t *testing.T) {
	p, f := page(t, 20)
	var v struct {
		Level, Verdict string
		Cluster        struct{ Health string }
		Hosts          []struct {
			Name string
			OSDs []struct {
				ID     int
				Here   bool
				Commit float64 `json:"commit_p99_seconds"`
			}
		}
	}
	if err := json.Unmarshal(get(t, p, "/api/v1/status", 200).Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Level != "bad" || v.Cluster.Health != "HEALTH_ERR" || len(v.Hosts) != 3 || !v.Hosts[0].OSDs[0].Here || v.Hosts[0].OSDs[2].Here || v.Hosts[0].OSDs[0].Commit <= 0 {
		t.Errorf("status is %+v", v)
	}
	var g struct{ ID, State, Waits string }
	if err := json.Unmarshal(get(t, p, "/api/v1/pgs/1.1f", 200).Body.Bytes(), &g); err != nil || g.State != "active+clean+inconsistent" {
		t.Error(g, err)
	}
	var h status.History
	if err := json.Unmarshal(get(t, p, "/api/v1/history", 200).Body.Bytes(), &h); err != nil {
		t.Fatal(err)
	}
	if len(h.Time) != 20 || len(h.Write.P50) != 20 || h.Write.P50[9] == nil || *h.Write.P50[9] < 0.1 || *h.Write.P50[9] > *h.Write.P99[9] || h.Write.Rate[9] < 50 {
		t.Errorf("history of %d seconds", len(h.Time))
	}
	for path, code := range map[string]int{
		"/api/v1/pgs/9.9": 404, "/api/v1/pgs/%3Cscript%3E": 404, "/api/v1/history?osd=x": 400, "/api/v1/osds/77/map.png": 404, "/api/v1/osds/x/map.png": 400,
		"/api/v1/osds/0/map?epoch=x": 400, "/api/v1/osds/0/map?epoch=999": 503, "/api/v1/osds/0/map?cell=999999": 404, "/api/v1/osds/0/map?cell=-1": 404,
		"/nothing": 404, "/assets/page.html": 404, "/assets/../handler.go": 404, "/healthz": 200, "/readyz": 200,
	} {
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != code && !(code == 404 && w.Code == 307) { // .. is cleaned away
			t.Errorf("%s: status %d, want %d: %s", path, w.Code, code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("POST", "http://127.0.0.1/api/v1/status", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	_ = f
}

// TestMap: the picture is of the size the page counts on, of the newest checkpoint
// or a kept one, and a cell says what it holds.
func TestMap(t *testing.T) {
	p, _ := page(t, 2)
	img, err := png.Decode(get(t, p, "/api/v1/osds/0/map.png", 200).Body)
	if err != nil || img.Bounds().Dx() != 768 || img.Bounds().Dy() != 192 {
		t.Fatal(img.Bounds(), err)
	}
	var m status.MapInfo
	if err := json.Unmarshal(get(t, p, "/api/v1/osds/0/map", 200).Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Columns != 96 || m.Cells == 0 || m.Totals["data"] == 0 || m.Totals["log"] == 0 || m.Epoch == 0 {
		t.Errorf("%+v", m)
	}
	var sum uint64
	owners := 0
	for i := range m.Cells {
		var c status.Cell
		if err := json.Unmarshal(get(t, p, "/api/v1/osds/0/map?cell="+itoa(i), 200).Body.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		sum += c.Kinds["data"]
		var owned uint64
		for _, o := range c.Objects {
			owned += o.Blocks * 4096
			if !strings.HasPrefix(o.Name, "rbd_data.") && o.Name != "busy" || o.Key == "" {
				t.Errorf("cell %d is owned by %+v", i, o)
			}
		}
		if !c.More && owned != c.Kinds["data"] {
			t.Errorf("cell %d holds %d bytes of data, objects own %d of it", i, c.Kinds["data"], owned)
		}
		owners += len(c.Objects)
	}
	if owners < 100 {
		t.Errorf("only %d owners in all cells", owners)
	}
	if sum != m.Totals["data"] {
		t.Errorf("cells hold %d bytes of data, the device %d", sum, m.Totals["data"])
	}
	// A checkpoint that the store took by itself just before the last is the same
	// state, and not kept.
	for epoch := m.Epoch - 1; ; epoch-- {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:9283/api/v1/osds/0/map?epoch="+itoa(int(epoch)), nil))
		if w.Code == 503 && epoch > 1 {
			continue
		}
		var old status.MapInfo
		if err := json.Unmarshal(w.Body.Bytes(), &old); err != nil || w.Code != 200 || old.Epoch != epoch || old.Totals["data"] == m.Totals["data"] {
			t.Errorf("kept epoch: status %d, %+v %v", w.Code, old, err)
		}
		return
	}
}

func itoa(n int) string {
	p, _ := json.Marshal(n)
	return string(p)
}

// TestGuards: who may ask for what.
func TestGuards(t *testing.T) {
	p, f := page(t, 1)
	ask := func(h http.Handler, url, from string) int {
		r := httptest.NewRequest("GET", url, nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	far := status.New(f.Source(), false)
	defer far.Close()
	for _, c := range []struct {
		h         http.Handler
		url, from string
		want      int
	}{
		{p, "http://127.0.0.1:9283/healthz", "127.0.0.1:1", 200}, {p, "http://[::1]:9283/healthz", "[::1]:1", 200}, {p, "http://localhost/healthz", "127.0.0.1:1", 200},
		{p, "http://evil.example/healthz", "127.0.0.1:1", 421}, {p, "http://evil.example/debug/pprof/", "127.0.0.1:1", 421},
		{p, "http://localhost/debug/pprof/", "127.0.0.1:1", 200}, {far, "http://node7:9283/metrics", "10.1.2.3:99", 200},
		{far, "http://node7:9283/debug/pprof/", "10.1.2.3:99", 403}, {far, "http://node7:9283/debug/pprof/cmdline", "127.0.0.1:99", 200},
	} {
		if got := ask(c.h, c.url, c.from); got != c.want {
			t.Errorf("%s from %s: %d, want %d", c.url, c.from, got, c.want)
		}
	}
}

func TestReady(t *testing.T) {
	src := status.Source{Daemon: "osd.3", Started: time.Now(), Ready: func() error { return errors.New("osd.3 is not up") }}
	p := status.New(src, true)
	defer p.Close()
	if w := get(t, p, "/readyz", 503); strings.TrimSpace(w.Body.String()) != "osd.3 is not up" {
		t.Errorf("%q", w.Body)
	}
	if w := get(t, p, "/", 200); !strings.Contains(w.Body.String(), "Nothing runs here") {
		t.Error("the page of nothing has something")
	}
	get(t, p, "/metrics", 200)

	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	src = f.Source()
	src.Cluster, src.Daemon = nil, "osd.0" // an OSD by itself
	why := errors.New("osd.0 is not up in epoch 41")
	var up atomic.Bool
	src.Ready = func() error {
		if up.Load() {
			return nil
		}
		return why
	}
	q := status.New(src, true)
	defer q.Close()
	if w := get(t, q, "/", 200); !strings.Contains(w.Body.String(), "Not serving") || !strings.Contains(w.Body.String(), why.Error()) {
		t.Error("the page does not say why the OSD does not serve")
	}
	up.Store(true)
	q.Tick()
	if w := get(t, q, "/", 200); !strings.Contains(w.Body.String(), "<h1>Serving</h1>") || strings.Contains(w.Body.String(), "Placement groups") {
		t.Error("the page of an OSD is not that of one that serves")
	}
}

// TestEvents: a listener gets all sections, then those that change, and points.
func TestEvents(t *testing.T) {
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	s, err := status.Serve("127.0.0.1:0", 1, f.Source(), logger)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Get(s.URL() + "api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if ct := r.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("type %q", ct)
	}
	in := bufio.NewScanner(r.Body)
	in.Buffer(nil, 1<<20)
	next := func() (name, data string) {
		for in.Scan() {
			switch l := in.Text(); {
			case strings.HasPrefix(l, "event: "):
				name = l[7:]
			case strings.HasPrefix(l, "data: "):
				return name, l[6:]
			}
		}
		t.Fatal("the stream ends: ", in.Err())
		return
	}
	seen := map[string]bool{}
	for range 8 {
		name, data := next()
		var e struct{ ID, HTML string }
		if err := json.Unmarshal([]byte(data), &e); err != nil || name != "section" {
			t.Fatal(name, data, err)
		}
		seen[e.ID] = true
	}
	for _, id := range []string{"health", "summary", "pgs", "osds", "slow", "pools", "options", "log"} {
		if !seen[id] {
			t.Errorf("section %s does not come", id)
		}
	}
	f.Advance()
	s.Page().Tick()
	f.Advance()
	s.Page().Tick()
	for {
		name, data := next()
		if name == "section" && (strings.Contains(data, `"id":"pools"`) || strings.Contains(data, `"id":"pgs"`)) {
			t.Error("a section comes that has not changed")
		}
		if name == "points" {
			var h map[string]status.History
			if err := json.Unmarshal([]byte(data), &h); err != nil || len(h["-1"].Time) == 0 || len(h["0"].Write.P99) == 0 {
				t.Errorf("points %s: %v", data, err)
			}
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, r.Body) // it comes to its end
}

// TestListen: a port that is taken is an error or the next one; the address is
// checked.
func TestListen(t *testing.T) {
	a, err := status.Serve("127.0.0.1:0", 1, status.Source{Daemon: "a"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if _, err := status.Serve(a.Addr(), 1, status.Source{}, logger); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a taken port: %v", err)
	}
	b, err := status.Serve(a.Addr(), 20, status.Source{Daemon: "b"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	if b.Addr() == a.Addr() {
		t.Error("both listen at one port")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "9283", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		if s, err := status.Serve(bad, 1, status.Source{}, logger); err == nil {
			_ = s.Close()
			t.Errorf("%q is an address", bad)
		}
	}
}

// TestHang: an OSD whose counters do not come costs neither the page nor the others.
func TestHang(t *testing.T) {
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	src := f.Source()
	release := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	osds := src.OSDs
	src.OSDs = func() []status.OSD {
		list := osds()
		count := list[1].Counters
		list[1].Counters = func() *daemon.Counters { <-release; return count() }
		return list
	}
	p := status.New(src, true)
	for range 4 {
		f.Advance()
		p.Tick()
	}
	var h status.History
	if err := json.Unmarshal(get(t, p, "/api/v1/history?osd=0", 200).Body.Bytes(), &h); err != nil || len(h.Time) < 3 {
		t.Errorf("osd.0 has %d points: %v", len(h.Time), err)
	}
	get(t, p, "/", 200)
	free()
	p.Close()
}

// TestMany: a cluster of many PGs has a bounded page, those that are not well first.
func TestMany(t *testing.T) {
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	src := f.Source()
	src.Cluster = f.Many
	p := status.New(src, true)
	defer p.Close()
	body := get(t, p, "/", 200).Body.Bytes()
	if n := bytes.Count(body, []byte(`data-pg="`)); n != 4096 {
		t.Errorf("%d squares", n)
	}
	if !bytes.Contains(body, []byte(`data-pg="1.7fff"`)) || !bytes.Contains(body, []byte("and 28672 more")) {
		t.Error("the PG that is not well has no square, or the rest is not summed up")
	}
}

// TestListeners: events have so many listeners and no more, and who leaves makes room.
func TestListeners(t *testing.T) {
	s, err := status.Serve("127.0.0.1:0", 1, status.Source{Daemon: "a"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func() *http.Response {
		t.Helper()
		r, err := client.Get(s.URL() + "api/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var open []*http.Response
	for range 32 {
		r := ask()
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		open = append(open, r)
	}
	r := ask()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one listener too many: %s", r.Status)
	}
	_ = r.Body.Close()
	if r, err := client.Get(s.URL() + "healthz"); err != nil || r.StatusCode != http.StatusOK {
		t.Error("listeners keep others out", err)
	} else {
		_ = r.Body.Close()
	}
	_ = open[7].Body.Close()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s.Page().Tick() // finds that nobody reads
		r := ask()
		_ = r.Body.Close()
		if r.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of who left is not free")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
