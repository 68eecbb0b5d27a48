package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"ebofs/tools/daemon"
	"ebofs/tools/local"
	"ebofs/tools/status"
	"ebofs/tools/status/fixture"
)

// shots is where screenshots are kept.
const shots = "../../../bin/test"

// find returns Chromium's path. Where everything is installed, as in CI, its absence
// is a failure.
func find(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	if os.Geteuid() == 0 {
		t.Fatal("no Chromium: .ci/setup test installs it")
	}
	t.Skip("no Chromium")
	return ""
}

// tab is a page in a browser of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string // what the console complained of
	asked []string // what was fetched
}

// open starts a browser.
func open(t *testing.T, width int64, scheme string) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(find(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	alloc, stop := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(stop)
	x := &tab{t: t}
	var end context.CancelFunc
	x.ctx, end = chromedp.NewContext(alloc, chromedp.WithListener(x.hear))
	t.Cleanup(func() { _ = chromedp.Cancel(x.ctx); end() })
	x.do(chromedp.EmulateViewport(width, 900, chromedp.EmulateScale(1)))
	call(x, network.Enable, network.EnableParams{})
	call(x, log.Enable, cdp.Empty{})
	call(x, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	return x
}

// hear takes the browser's events. It is called by the one who reads them.
func (x *tab) hear(ev any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		x.wrong = append(x.wrong, fmt.Sprint(ev.ExceptionDetails.Text, ev.ExceptionDetails.URL))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == "error" || ev.Type == "warning" {
			for _, a := range ev.Args {
				x.wrong = append(x.wrong, string(a.Value)+a.Description)
			}
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" || ev.Entry.Level == "warning" {
			x.wrong = append(x.wrong, ev.Entry.Text+" "+ev.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		x.asked = append(x.asked, ev.Request.URL)
	}
}

func (x *tab) do(a ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x.ctx, a...); err != nil {
		x.t.Fatal(err)
	}
}

// ask does an action that answers something.
func ask[T any](x *tab, a chromedp.Action[T]) T {
	x.t.Helper()
	v, err := chromedp.Run(x.ctx, a)
	if err != nil {
		x.t.Fatal(err)
	}
	return v
}

// call runs a command of the protocol.
func call[P, R any](x *tab, c cdp.Command[P, R], params P) {
	x.t.Helper()
	if _, err := chromedp.Call(x.ctx, c, params); err != nil {
		x.t.Fatal(err)
	}
}

// until waits until an expression of the page is true.
func (x *tab) until(what, expr string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expr, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.t.Fatalf("not seen that %s: %v; console: %q", what, err, x.wrong)
	}
}

func (x *tab) text(expr string) string {
	x.t.Helper()
	return ask(x, chromedp.Evaluate[string]("String("+expr+")"))
}

// click clicks into the middle of an element, wherever it is just then: sections
// come and move it.
func (x *tab) click(sel string) {
	x.t.Helper()
	x.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(e => { const b = e.getBoundingClientRect(); e.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, clientX: b.left + b.width / 2, clientY: b.top + b.height / 2 })); })(document.querySelector(%q))`, sel)))
}

// shot keeps a screenshot of the whole page.
func (x *tab) shot(name string) {
	x.t.Helper()
	p := ask(x, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(shots, 0o755); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shots, name), p, 0o644); err != nil {
		x.t.Fatal(err)
	}
	if len(p) < 20_000 {
		x.t.Errorf("%s is %d bytes: an empty page?", name, len(p))
	}
}

// quiet fails if the console complained, or something was fetched from elsewhere.
func (x *tab) quiet(base string) {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.wrong {
		x.t.Errorf("console: %s", w)
	}
	for _, u := range x.asked {
		if !strings.HasPrefix(u, base) && !strings.HasPrefix(u, "data:") && u != "about:blank" {
			x.t.Errorf("fetched from elsewhere: %s", u)
		}
	}
	if len(x.asked) == 0 {
		x.t.Error("nothing was fetched: the test does not see what it should")
	}
}

// serve serves the fixture after ten minutes of its life.
func serve(t *testing.T) (*status.Server, *fixture.Fixture) {
	t.Helper()
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s, err := status.Serve("127.0.0.1:0", 1, f.Source(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), f.Close()); err != nil {
			t.Error(err)
		}
	})
	for range 600 {
		f.Advance()
		s.Page().Tick()
	}
	return s, f
}

// TestFixture looks at the page of a cluster in which much is wrong.
func TestFixture(t *testing.T) {
	s, f := serve(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			x := open(t, 1240, scheme)
			x.do(chromedp.Navigate(s.URL()))
			x.until("the page is live", `document.getElementById("live-text").textContent === "live"`)
			x.until("plots are drawn", `document.querySelectorAll(".plot canvas").length === 3`)
			x.until("the device is drawn", `(i => { i.scrollIntoView(); return i.complete && i.naturalWidth === 768; })(document.getElementById("map-png"))`)
			for expr, want := range map[string]string{
				`document.title`: "✕ Action is needed · demo",
				`document.querySelectorAll("#pgs .squares a").length`:                      "104",
				`document.querySelector('[data-pg="1.1f"]').textContent`:                   "✕",
				`document.querySelector('[data-pg="1.0"]').className`:                      "pg good",
				`document.querySelectorAll("#health .check").length`:                       "4",
				`document.querySelectorAll("#osds tbody tr").length`:                       "10",
				`document.querySelectorAll("#slow .state.warn").length`:                    "1",
				`getComputedStyle(document.body).backgroundColor === "rgb(245, 244, 240)"`: fmt.Sprint(scheme == "light"),
			} {
				if got := x.text(expr); got != want {
					t.Errorf("%s is %q, want %q", expr, got, want)
				}
			}
			// A click shows a PG, without a load of the page.
			x.click(`[data-pg="1.1f"]`)
			x.until("the PG is shown", `!document.getElementById("pg").hidden && document.getElementById("pg").textContent.includes("a repair of what is damaged")`)
			// A click into the device says what is there.
			x.click(`#map-png`)
			x.until("the cell is shown", `/from byte [\d,]+ on: .*rbd_data/.test(document.getElementById("cell").textContent)`)
			// Another OSD's plots.
			x.click(`#plot-of a[data-osd="1"]`)
			x.until("the other OSD is picked", `document.querySelector("#plot-of [aria-current]").dataset.osd === "1" && document.querySelectorAll(".plot canvas").length === 3`)
			// A second passes: the page follows by itself, and what is open stays so.
			x.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#health details").open = true; 0`))
			before := x.text(`document.getElementById("summary").textContent`)
			for range 90 {
				f.Advance()
			}
			x.until("the summary changes", fmt.Sprintf(`document.getElementById("summary").textContent !== %q`, before))
			if x.text(`document.querySelector("#health details").open`) != "true" {
				t.Error("details that were opened are closed")
			}
			x.do(chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`))
			x.shot("page-" + scheme + ".png")
			x.quiet(s.URL())
		})
	}
}

// TestSnapshot: without JavaScript the page is whole, plots included.
func TestSnapshot(t *testing.T) {
	s, _ := serve(t)
	x := open(t, 1240, "light")
	call(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	x.do(chromedp.Navigate(s.URL() + "?pg=1.1f"))
	x.shot("page-without-javascript.png")
	html := ask(x, chromedp.OuterHTML(chromedp.CSS("html")))
	for _, want := range []string{"Action is needed", `class="p50" d="M`, "a repair of what is damaged", "as of 2026-03-14"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	x.quiet(s.URL())
}

// TestNarrow: on a telephone nothing sticks out.
func TestNarrow(t *testing.T) {
	s, _ := serve(t)
	x := open(t, 390, "light")
	x.do(chromedp.Navigate(s.URL()))
	x.until("the page is live", `document.getElementById("live-text").textContent === "live"`)
	if w := x.text(`document.documentElement.scrollWidth`); w != "390" {
		t.Errorf("the page is %s wide, the window 390", w)
	}
	x.shot("page-narrow.png")
	x.quiet(s.URL())
}

// TestLost: when the daemon goes away the page says so, and when it is back it goes
// on by itself.
func TestLost(t *testing.T) {
	f, err := fixture.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	logger := slog.New(slog.DiscardHandler)
	s, err := status.Serve("127.0.0.1:0", 1, f.Source(), logger)
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, 1000, "light")
	x.do(chromedp.Navigate(s.URL()))
	x.until("the page is live", `document.getElementById("live-text").textContent === "live"`)
	addr := s.Addr()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x.until("the page is lost", `document.getElementById("live").classList.contains("lost")`)
	if s, err = status.Serve(addr, 1, f.Source(), logger); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	x.until("the page is back", `!document.getElementById("live").classList.contains("lost")`)
	r, err := http.Get(s.URL() + "readyz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Error(r, err)
	}
	_ = r.Body.Close()
}

// TestLive looks at a cluster that runs, and sees an OSD go away.
func TestLive(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := local.Make(ctx, local.Options{Dir: t.TempDir(), OSDs: 3, OSDBytes: 256 << 20, Memory: 64 << 20, Tuning: daemon.Tuning{Fast: true, Unsafe: true, Report: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, a := range [][]any{{"osd pool create", "pool", "p", "pg_num", 16}, {"osd pool application enable", "pool", "p", "app", "rados"}} {
		if _, err := c.Command(ctx, a[0].(string), a[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitClean(ctx); err != nil {
		t.Fatal(err)
	}
	src := c.Mon.Source()
	src.Daemon, src.Version, src.Started = "demo", "ebofs", time.Now()
	var running atomic.Pointer[[]status.OSD]
	show := func() {
		var list []status.OSD
		for _, o := range c.OSDs {
			if o != nil {
				list = append(list, o.Shown())
			}
		}
		running.Store(&list)
	}
	show()
	src.OSDs = func() []status.OSD { return *running.Load() }
	s, err := status.Serve("127.0.0.1:0", 1, src, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	x := open(t, 1240, "light")
	x.do(chromedp.Navigate(s.URL()))
	x.until("everything is well", `document.querySelector("h1").textContent === "Everything is well"`)
	x.until("all PGs are good", `document.querySelectorAll("#pgs .squares .pg.good").length === 16`)
	x.until("the device is drawn", `(i => i.complete && i.naturalWidth === 768)(document.getElementById("map-png"))`)
	x.shot("page-live.png")
	list := *running.Load()
	rest := list[:2]
	running.Store(&rest)
	if err := c.StopOSD(ctx, 2); err != nil {
		t.Fatal(err)
	}
	x.until("an OSD is down", `document.querySelector("#health").textContent.includes("OSD_DOWN")`)
	x.until("its PGs are not good", `document.querySelectorAll("#pgs .squares .pg.good").length < 16`)
	x.quiet(s.URL())
}
