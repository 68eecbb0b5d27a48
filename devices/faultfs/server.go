package faultfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ebofs/devices"
)

// diskName is the name of the file.
const diskName = "disk"

// maxTransfer is the largest request the kernel sends; it fits into a pipe.
const maxTransfer = 512 << 10

// Server serves one device as a file.
type Server struct {
	dev  devices.Device
	pool *devices.Pool
	path string
	fuse *fuse.Server

	gate sync.RWMutex // held by every request
	off  bool         // the power is gone; guarded by gate
	edge sync.Mutex   // orders read-modify-writes of blocks
}

// Mount shows dev as a file in the directory dir, which must exist. The device
// stays the caller's, to be closed after Close.
func Mount(dir string, dev devices.Device) (*Server, error) {
	s := &Server{dev: dev, pool: devices.NewPool(devices.PoolOptions{}), path: filepath.Join(dir, diskName)}
	forever := time.Hour
	root := &fs.Inode{}
	srv, err := fs.Mount(dir, root, &fs.Options{
		EntryTimeout: &forever, AttrTimeout: &forever,
		MountOptions: fuse.MountOptions{
			FsName: "faultfs", Name: "faultfs", DirectMount: true, MaxWrite: maxTransfer, DisableXAttrs: true,
			Logger: log.New(io.Discard, "", 0), // errors go to the program that reads or writes
		},
		OnAdd: func(ctx context.Context) {
			d := root.NewPersistentInode(ctx, &disk{s: s}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.AddChild(diskName, d, true)
		},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount faultfs on %s: %w", dir, err), s.pool.Close())
	}
	s.fuse = srv
	return s, nil
}

// Path is the file.
func (s *Server) Path() string { return s.path }

// Cut takes the power away: requests in flight end, all others fail with EIO.
func (s *Server) Cut() {
	s.gate.Lock()
	s.off = true
	s.gate.Unlock()
}

// Close unmounts. It fails while the file is in use.
func (s *Server) Close() error {
	var err error
	for range 50 { // a loop device lets go of the file a little later
		if err = s.fuse.Unmount(); err == nil {
			return s.pool.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("unmount %s: %w", filepath.Dir(s.path), err)
}

// do runs one request unless the power is gone.
func (s *Server) do(request func() error) syscall.Errno {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.off {
		return syscall.EIO
	}
	err := request()
	var no syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return no
	}
	return syscall.EIO
}
