package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// moment is what the kernel has counted so far.
type moment struct {
	at      time.Time
	busy    float64         // user, nice and system of all processes, s
	idle    float64         // of all CPUs, s
	steal   float64         // kept from us by the hypervisor, s
	self    float64         // this process, s
	kernel  map[int]float64 // kernel threads, s
	written int64           // bytes, of the device
	read    int64
	writes  int64 // requests
	flushes int64
}

// usage is what was used between two moments.
type usage struct {
	self    float64 // CPU seconds of this process
	machine float64 // of all that is not somebody else's: kernel threads, interrupts
	foreign float64 // of other processes
	steal   float64
	written int64
	read    int64
	writes  int64
	flushes int64
}

const tick = 0.01 // s, of the kernel's files: USER_HZ is 100 everywhere

// look takes a moment; dev is a block device.
func look(dev string) *moment {
	m := &moment{kernel: map[int]float64{}}
	if f := fields("/sys/block/" + filepath.Base(dev) + "/stat"); len(f) > 15 {
		m.read, m.writes, m.written, m.flushes = 512*int64(f[2]), int64(f[4]), 512*int64(f[6]), int64(f[15])
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		text, _ := os.ReadFile(d + "/stat")
		_, rest, _ := strings.Cut(string(text), ") ")
		const kernelThread = 0x00200000 // PF_KTHREAD
		if f := numbers(rest); len(f) > 12 && int64(f[6])&kernelThread != 0 {
			pid, _ := strconv.Atoi(filepath.Base(d))
			m.kernel[pid] = (f[11] + f[12]) * tick
		}
	}
	if f := fields("/proc/stat"); len(f) > 8 {
		m.busy, m.idle, m.steal = (f[1]+f[2]+f[3])*tick, (f[4]+f[5])*tick, f[8]*tick
	}
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	m.self = float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	m.at = time.Now()
	return m
}

// since returns what was used from a on. Kernel threads that work for others are
// taken for ours: nothing tells them apart.
func (m *moment) since(a *moment) usage {
	kernel := 0.0
	for pid, s := range m.kernel {
		kernel += max(0, s-a.kernel[pid])
	}
	u := usage{
		self: m.self - a.self, steal: max(0, m.steal-a.steal),
		written: m.written - a.written, read: m.read - a.read, writes: m.writes - a.writes, flushes: m.flushes - a.flushes,
	}
	u.foreign = max(0, m.busy-a.busy-u.self-kernel)
	// Idle time is exact, the rest is sampled.
	all := float64(runtime.NumCPU()) * m.at.Sub(a.at).Seconds()
	u.machine = max(u.self, all-(m.idle-a.idle)-u.foreign-u.steal)
	return u
}

func fields(path string) []float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return numbers(line)
}

// numbers reads the words of a line; what is no number counts as 0.
func numbers(line string) []float64 {
	words := strings.Fields(line)
	list := make([]float64, len(words))
	for i, w := range words {
		list[i], _ = strconv.ParseFloat(w, 64)
	}
	return list
}

// resident is the memory of this process that is in RAM, page cache it has mapped
// included.
func resident() int64 {
	f := fields("/proc/self/statm")
	if len(f) < 2 {
		return 0
	}
	return int64(f[1]) * int64(os.Getpagesize())
}
