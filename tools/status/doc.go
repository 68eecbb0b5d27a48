// Package status serves what a daemon shows of itself over HTTP: the status page,
// its JSON, metrics, and whether it lives and is ready. It changes nothing.
//
//	/                    the page, whole without JavaScript
//	/metrics             for Prometheus (tools/metrics)
//	/healthz  /readyz    200, or 503 with a line that says why
//	/api/v1/…            what the page shows, as JSON, and its changes as events
//	/debug/pprof/        Go's profiles, for callers of this host only
//
// Nouns. A Source is what a process has: a monitor, OSDs, or both, each as
// functions, so that the page of a whole cluster in one process and those of single
// daemons are one program, and tests need neither. A View is all of it at one
// moment. A point is a second of an OSD's latencies; ten minutes of them are kept.
// A section is a piece of the page that is drawn anew when it changes.
//
//	Source ── once a second ──▶ recorder ──▶ View ──▶ page, sections, JSON
//	                               └──▶ points ──▶ plots
//
// Invariants:
//
//	S1  Nothing is fetched from elsewhere: scripts, styles and pictures are ours, and
//	    the page's policy forbids others.
//	S2  Whatever colour says, a sign or word beside it says too.
//	S3  A request costs bounded memory: headers, connections, listeners for events
//	    and pictures being drawn are limited; PGs beyond maxSquares are summed up.
//	S4  A store that hangs costs its own figures, not those of others.
//
// Goroutines: the recorder; one for each OSD whose figures are being read; those of
// net/http. Close ends all. Lock order: Page.ticks, hub.mu, then
// recorder.mu or pictures.mu.
package status
