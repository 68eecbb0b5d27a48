package sweep

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Site is where an I/O or an allocation comes from.
type Site struct {
	Op    string // read, write, flush, or the kind of an allocation
	Line  string // of the engine, nearest to the device: "ebofs/io.go:97"
	Chain string // the functions above it, innermost first
}

// String returns the site in one line.
func (s Site) String() string { return fmt.Sprintf("%-8s %-24s %s", s.Op, s.Line, s.Chain) }

// siteDepth is how many functions of the engine tell two sites apart: enough to
// reach from the device to the step of a checkpoint or a mount.
const siteDepth = 5

// Registry says which sites there are and which have failed.
type Registry struct {
	mu     sync.Mutex
	known  map[[stackDepth]uintptr]Site // by return addresses, to symbolize each once
	seen   map[Site]place               // where a run without faults met it first
	failed map[Site]int
}

// place is one I/O or allocation of a workload.
type place struct {
	w    *Workload // nil: of a run that is no workload
	kind Kind
	nth  uint64
}

const stackDepth = 24

// NewRegistry returns an empty one.
func NewRegistry() *Registry {
	return &Registry{known: map[[stackDepth]uintptr]Site{}, seen: map[Site]place{}, failed: map[Site]int{}}
}

// note enters one I/O or allocation of the goroutine that calls it. Only what a
// run without faults reaches is to be failed: the rest is there because of a
// fault.
func (r *Registry) note(op string, at place, sound, failed bool) {
	var pcs [stackDepth]uintptr
	n := runtime.Callers(2, pcs[:])
	key := pcs
	key[stackDepth-1] ^= uintptr(op[0]) // one function may call for two operations
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.known[key]
	if !ok {
		s = siteOf(op, pcs[:n])
		r.known[key] = s
	}
	if _, ok := r.seen[s]; sound && !ok {
		r.seen[s] = at
	}
	if failed {
		r.failed[s]++
	}
}

// siteOf reads a stack.
func siteOf(op string, pcs []uintptr) Site {
	s := Site{Op: op}
	var chain []string
	for frames, more := runtime.CallersFrames(pcs), true; more && len(chain) < siteDepth; {
		var f runtime.Frame
		f, more = frames.Next()
		dir, name, ok := inEngine(f.Function)
		if !ok || strings.HasSuffix(name, ").refused") {
			continue
		}
		if s.Line == "" {
			s.Line = fmt.Sprintf("%s/%s:%d", dir, f.File[strings.LastIndexByte(f.File, '/')+1:], f.Line)
		}
		chain = append(chain, name)
	}
	s.Chain = strings.Join(chain, " < ")
	return s
}

// inEngine splits the name of a function of the engine into its directory and
// the rest.
func inEngine(function string) (dir, name string, ok bool) {
	path, ok := strings.CutPrefix(function, "ebofs/")
	if !ok || !strings.HasPrefix(path, "ebofs") && !strings.HasPrefix(path, "btree.") {
		return "", "", false
	}
	slash := strings.LastIndexByte(path, '/')
	if strings.HasPrefix(path, "ebofs/strict.") { // watches the device
		return "", "", false
	}
	dot := slash + 1 + strings.IndexByte(path[slash+1:], '.')
	return path[:dot], path[slash+1:], true
}

// Unfailed returns the sites that were seen and have not failed.
func (r *Registry) Unfailed() []Site {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unfailedLocked()
}

// left returns where sites were seen that have not failed.
func (r *Registry) left() (list []place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.unfailedLocked() {
		list = append(list, r.seen[s])
	}
	return list
}

func (r *Registry) unfailedLocked() []Site {
	var list []Site
	for s := range r.seen {
		if r.failed[s] == 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Site) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// Lines returns the lines of the engine at which something has failed.
func (r *Registry) Lines() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := map[string]bool{}
	for s := range r.failed {
		lines[s.Line] = true
	}
	return lines
}

// Len returns the number of sites seen.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}
