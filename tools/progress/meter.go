package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/tools/sizes"
)

// Options say where a Meter writes. The zero value writes nothing.
type Options struct {
	Err      io.Writer        // the bar and the SIGUSR1 line; nil: neither
	Terminal bool             // Err is a terminal: draw the bar
	Columns  int              // its width; 0: 80
	Name     string           // begins the SIGUSR1 line: "ebofs object: /dev/sdb"
	Status   <-chan os.Signal // each value prints one line; may be nil
	Lines    io.Writer        // "phase done total device" lines; nil: none
	Device   string           // the last word of those lines
	Now      func() time.Time // nil: time.Now
	Tick     <-chan time.Time // when to draw; nil: every quarter second
}

// Meter counts one phase after another. Its methods may be called from any
// goroutine; a nil Meter counts nothing.
type Meter struct {
	o     Options
	bytes atomic.Int64
	items atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		phase        string
		total        int64 // bytes if totalBytes, else items; 0: unknown
		totalBytes   bool
		start        time.Time
		window       []sample // of the last seconds, for the rate
		drawn        int      // width of what stands on the line
		linesPercent int
	}
}

type sample struct {
	at    time.Time
	bytes int64
	items int64
}

// Start begins to show progress.
func Start(o Options) *Meter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Columns <= 0 {
		o.Columns = 80
	}
	m := &Meter{o: o, stop: make(chan struct{})}
	m.mu.start = o.Now()
	m.mu.linesPercent = -1
	draws := o.Err != nil && o.Terminal
	if !draws && o.Status == nil && o.Lines == nil {
		return m
	}
	tick := o.Tick
	end := func() {}
	if tick == nil {
		t := time.NewTicker(time.Second / 4)
		tick, end = t.C, t.Stop
	}
	m.done.Go(func() {
		defer end()
		for {
			select {
			case <-m.stop:
				return
			case <-tick:
				m.tick(draws)
			case <-o.Status:
				m.report()
			}
		}
	})
	return m
}

// Phase begins a new phase with counters at zero. total is what Add will sum
// up to: bytes if ofBytes, else items; 0 if unknown.
func (m *Meter) Phase(name string, total int64, ofBytes bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes.Store(0)
	m.items.Store(0)
	m.mu.phase, m.mu.total, m.mu.totalBytes = name, total, ofBytes
	m.mu.start = m.o.Now()
	m.mu.window = m.mu.window[:0]
	m.mu.linesPercent = -1
}

// SetTotal corrects the total of the running phase.
func (m *Meter) SetTotal(total int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.total = total
}

// Add counts work done.
func (m *Meter) Add(items, bytes int64) {
	if m == nil {
		return
	}
	m.items.Add(items)
	m.bytes.Add(bytes)
}

// Set replaces the counters of the running phase.
func (m *Meter) Set(items, bytes int64) {
	if m == nil {
		return
	}
	m.items.Store(items)
	m.bytes.Store(bytes)
}

// Println prints a line above the bar, on Err.
func (m *Meter) Println(line string) {
	if m == nil || m.o.Err == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eraseLocked()
	fmt.Fprintln(m.o.Err, line)
}

// Stop erases the bar and ends the goroutine. It may be called twice.
func (m *Meter) Stop() {
	if m == nil {
		return
	}
	m.mu.Lock()
	select {
	case <-m.stop:
		m.mu.Unlock()
		return
	default:
	}
	close(m.stop)
	m.mu.Unlock()
	m.done.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eraseLocked()
	m.machineLocked(true)
}

func (m *Meter) tick(draws bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sampleLocked()
	m.machineLocked(false)
	if !draws || m.mu.phase == "" {
		return
	}
	line := m.lineLocked(m.o.Columns - 1)
	pad := max(0, m.mu.drawn-len([]rune(line)))
	fmt.Fprintf(m.o.Err, "\r%s%s", line, strings.Repeat(" ", pad))
	m.mu.drawn = len([]rune(line))
}

// report prints one whole line.
func (m *Meter) report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.o.Err == nil {
		return
	}
	m.sampleLocked()
	m.eraseLocked()
	name := m.o.Name
	if name != "" {
		name += ": "
	}
	fmt.Fprintf(m.o.Err, "%s%s\n", name, m.lineLocked(1<<10))
}

func (m *Meter) eraseLocked() {
	if m.mu.drawn > 0 {
		fmt.Fprintf(m.o.Err, "\r%s\r", strings.Repeat(" ", m.mu.drawn))
		m.mu.drawn = 0
	}
}

// sampleLocked notes the counters; the window keeps five seconds.
func (m *Meter) sampleLocked() {
	now := m.o.Now()
	m.mu.window = append(m.mu.window, sample{now, m.bytes.Load(), m.items.Load()})
	for len(m.mu.window) > 2 && now.Sub(m.mu.window[0].at) > 5*time.Second {
		m.mu.window = m.mu.window[1:]
	}
}

// rateLocked returns bytes and items per second: over the window, or since the
// start while that is too short.
func (m *Meter) rateLocked() (bytes, items float64) {
	now := m.o.Now()
	from := sample{at: m.mu.start}
	if n := len(m.mu.window); n > 0 && m.mu.window[n-1].at.Sub(m.mu.window[0].at) >= time.Second {
		from = m.mu.window[0]
	}
	s := now.Sub(from.at).Seconds()
	if s <= 0 {
		return 0, 0
	}
	return float64(m.bytes.Load()-from.bytes) / s, float64(m.items.Load()-from.items) / s
}

// lineLocked is the bar, at most width runes: "import  [####    ]  47%  5230 items
// 61.2 MiB  3.0 MiB/s  12.0 s left".
func (m *Meter) lineLocked(width int) string {
	items, bytes := m.items.Load(), m.bytes.Load()
	perByte, perItem := m.rateLocked()
	done, rate := items, perItem
	if m.mu.totalBytes {
		done, rate = bytes, perByte
	}
	var parts []string
	if items > 0 || !m.mu.totalBytes {
		if m.mu.total > 0 && !m.mu.totalBytes {
			parts = append(parts, fmt.Sprintf("%d of %d", items, m.mu.total))
		} else {
			parts = append(parts, fmt.Sprintf("%d items", items))
		}
	}
	if bytes > 0 || m.mu.totalBytes {
		parts = append(parts, sizes.Human(uint64(max(0, bytes))), sizes.Human(uint64(max(0, perByte)))+"/s")
	} else {
		parts = append(parts, fmt.Sprintf("%.0f/s", max(0, perItem)))
	}
	share := ""
	if m.mu.total > 0 {
		fraction := min(1, float64(done)/float64(m.mu.total))
		share = fmt.Sprintf("%3.0f%%", 100*fraction)
		if rate > 0 && done < m.mu.total {
			left := time.Duration(float64(m.mu.total-done) / rate * float64(time.Second))
			parts = append(parts, sizes.Duration(left.Round(time.Second/10))+" left")
		}
		rest := strings.Join(parts, "  ")
		if bar := min(30, width-len([]rune(m.mu.phase))-len([]rune(rest))-12); bar >= 8 {
			full := int(fraction * float64(bar))
			share = "[" + strings.Repeat("#", full) + strings.Repeat(" ", bar-full) + "] " + share
		}
	}
	all := append([]string{m.mu.phase}, parts...)
	if share != "" {
		all = append([]string{m.mu.phase, share}, parts...)
	}
	line := []rune(strings.Join(all, "  "))
	return string(line[:min(len(line), width)])
}

// machineLocked writes a "phase done total device" line when a whole percent
// was made since the last one, or at the end.
func (m *Meter) machineLocked(last bool) {
	if m.o.Lines == nil || m.mu.phase == "" {
		return
	}
	done := m.items.Load()
	if m.mu.totalBytes {
		done = m.bytes.Load()
	}
	percent := 0
	if m.mu.total > 0 {
		percent = int(100 * done / m.mu.total)
	}
	if percent == m.mu.linesPercent && !last {
		return
	}
	m.mu.linesPercent = percent
	fmt.Fprintf(m.o.Lines, "%s %d %d %s\n", strings.ReplaceAll(m.mu.phase, " ", "-"), done, m.mu.total, m.o.Device)
}
