package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"ebofs/tools/verb"
	"ebofs/tools/verbs"
)

// version is set by the linker.
var version string

func main() { os.Exit(run()) }

func run() int {
	// A thread inside a blocking direct read or write keeps its P until the
	// scheduler notices, so with one P per core only a couple of requests are
	// really in flight. Eight is where throughput stopped growing on two cores.
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 8 {
		runtime.GOMAXPROCS(8)
	}
	// The first SIGINT, SIGTERM or SIGHUP (a session that ended) asks the verb to
	// end; a second one, with the default action restored, ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	s, release := verb.Process()
	defer release()
	return verbs.Main(ctx, version, os.Args, s)
}
