package daemon

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/tools/status"
	"ebofs/tools/verb"
)

// TestPageAddr: where pages are by default, and where options put them.
func TestPageAddr(t *testing.T) {
	for _, c := range []struct {
		who   ceph.EntityName
		set   string
		addr  string
		asked bool
	}{
		{ceph.EntityName{Type: ceph.TypeMon, ID: "a"}, "", "127.0.0.1:9283", false},
		{ceph.EntityName{Type: ceph.TypeOSD, ID: "0"}, "", "127.0.0.1:9300", false},
		{ceph.EntityName{Type: ceph.TypeOSD, ID: "12"}, "", "127.0.0.1:9312", false},
		{ceph.EntityName{Type: ceph.TypeOSD, ID: "32000"}, "", "127.0.0.1:41300", false},
		{ceph.EntityName{Type: ceph.TypeOSD, ID: "99999"}, "", "", false},
		{ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}, "none", "", true},
		{ceph.EntityName{Type: ceph.TypeMon, ID: "a"}, "0.0.0.0:80", "0.0.0.0:80", true},
	} {
		o := conf.Defaults(c.who)
		if c.set != "" {
			if err := o.Set(conf.FromFile, "ebofs_http_addr", c.set); err != nil {
				t.Fatal(err)
			}
		}
		if addr, asked := pageAddr(o); addr != c.addr || asked != c.asked {
			t.Errorf("%v with %q: %q %v, want %q %v", c.who, c.set, addr, asked, c.addr, c.asked)
		}
	}
}

// TestPageTaken: a port that is taken is an error that names the holder, unless it is
// the default.
func TestPageTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := conf.Defaults(ceph.EntityName{Type: ceph.TypeOSD, ID: "0"})
	if err := o.Set(conf.CommandLine, "ebofs_http_addr", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s := &Service{Config: o, Log: slog.New(slog.DiscardHandler), Source: &status.Source{}}
	c := &verb.Call{}
	c.Now = time.Now
	_, err = s.page(c)
	if err == nil || !strings.Contains(err.Error(), "ebofs_http_addr") || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), "has port") {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := s.page(c)
	if err != nil || p == nil || p.Addr() != l.Addr().String() {
		t.Fatal(p, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
