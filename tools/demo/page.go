package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	show "ebofs/tools/status"
	"ebofs/tools/verb"
)

// pagePorts is how many ports from the page's default on are tried.
const pagePorts = 20

// page serves the status page of the cluster in this process; nil if there is to be
// none.
func (l *lab) page() (*show.Server, error) {
	addr, ports := l.http, 1
	switch addr {
	case "none":
		return nil, nil
	case "":
		addr, ports = show.DefaultAddr, pagePorts
	}
	c := l.cluster
	src := c.Mon.Source()
	src.Daemon, src.Version, src.Started, src.Now = "demo", "ebofs "+l.c.Version, l.began, l.c.Now
	var list []show.OSD
	for _, o := range c.OSDs {
		list = append(list, o.Shown())
	}
	src.OSDs = func() []show.OSD { return list }
	s, err := show.Serve(addr, ports, src, l.c.Log)
	if err != nil {
		return nil, &verb.Failure{Code: "E-DEMO", Message: err.Error(), Hint: "Another address: --http 127.0.0.1:PORT; without a page: --http none", Err: err}
	}
	return s, nil
}

// errNoBrowser is what a screenshot needs.
var errNoBrowser = errors.New("no screenshot: chromium is not installed: apt-get install chromium")

// screenshot has Chromium take a picture of the page. That is of use to who has it,
// and nothing else depends on it.
func (l *lab) screenshot(ctx context.Context, url, file string) error {
	if url == "" {
		return verb.Usage("--screenshot needs a page: no --http none")
	}
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			browser = p
			break
		}
	}
	if browser == "" {
		return errNoBrowser
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	profile, err := os.MkdirTemp("", "ebofs-demo-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--hide-scrollbars", "--window-size=1240,2300", "--user-data-dir=" + profile, "--screenshot=" + file, url + "?still",
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // it refuses root otherwise
	}
	out, err := exec.CommandContext(ctx, browser, args...).CombinedOutput()
	if _, statErr := os.Stat(file); err == nil {
		err = statErr
	}
	if err != nil {
		return fmt.Errorf("screenshot: %w: %s", err, out[max(0, len(out)-400):])
	}
	l.c.Printf("   a picture of the page: %s\n", file)
	return nil
}
