package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ebofs/tools/store"
	"ebofs/tools/verb"
	"ebofs/tools/verbs"
)

// version is set by the linker.
var version string

func main() { os.Exit(run()) }

func run() int {
	store.TuneThreads()
	// The first SIGINT, SIGTERM or SIGHUP (a session that ended) asks the verb to
	// end; a second one, with the default action restored, ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, hangup, take := hangups(ctx)
	context.AfterFunc(ctx, func() { stop(); signal.Stop(hangup) })
	s, release := verb.Process()
	defer release()
	s.TakeHangup = take
	return verbs.Main(ctx, version, os.Args, s)
}

// hangups returns a context that ends with SIGHUP, unless somebody takes the signal.
func hangups(ctx context.Context) (context.Context, chan os.Signal, func() (<-chan os.Signal, func())) {
	ctx, cancel := context.WithCancel(ctx)
	c, taken := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(c, syscall.SIGHUP)
	go func() {
		select {
		case <-c:
			cancel()
		case <-taken:
		}
	}()
	return ctx, c, func() (<-chan os.Signal, func()) {
		close(taken)
		return c, func() { signal.Stop(c) }
	}
}
