package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ebofs/devices"
)

const blockSize = devices.BlockSize

// disk is the file.
type disk struct {
	fs.Inode
	s *Server
}

var (
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
)

func (d *disk) size() uint64 { return d.s.dev.Geometry().Blocks * blockSize }

// Getattr says how long the file is.
func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, d.size(), blockSize
	return 0
}

// Setattr refuses another size and ignores the rest.
func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if n, ok := in.GetSize(); ok && n != d.size() {
		return syscall.EPERM
	}
	return d.Getattr(ctx, f, out)
}

// Open lets nothing be cached.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// frame covers [off, off+n) in whole blocks: the first block and the memory.
func (d *disk) frame(off int64, n int) (devices.Block, *devices.Frame) {
	first := off / blockSize
	end := (off + int64(n) + blockSize - 1) / blockSize
	return devices.Block(first), d.s.pool.Get(int(end-first) * blockSize)
}

// Read reads what the device has, up to its end.
func (d *disk) Read(ctx context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	size := int64(d.size())
	if off >= size {
		return fuse.ReadResultData(nil), 0
	}
	dest = dest[:min(int64(len(dest)), size-off)]
	no := d.s.do(func() error {
		b, f := d.frame(off, len(dest))
		defer f.Release()
		if err := d.s.dev.Read(ctx, b, devices.Vec{f.Bytes()}); err != nil {
			return err
		}
		copy(dest, f.Bytes()[off%blockSize:])
		return nil
	})
	return fuse.ReadResultData(dest), no
}

// Write writes through to the device. Parts of blocks are read first.
func (d *disk) Write(ctx context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if off+int64(len(data)) > int64(d.size()) {
		return 0, syscall.ENOSPC
	}
	no := d.s.do(func() error {
		b, f := d.frame(off, len(data))
		defer f.Release()
		if off%blockSize != 0 || len(data)%blockSize != 0 {
			d.s.edge.Lock()
			defer d.s.edge.Unlock()
			if err := d.s.dev.Read(ctx, b, devices.Vec{f.Bytes()}); err != nil {
				return err
			}
		}
		copy(f.Bytes()[off%blockSize:], data)
		return d.s.dev.Write(ctx, b, devices.Vec{f.Bytes()})
	})
	if no != 0 {
		return 0, no
	}
	return uint32(len(data)), 0
}

// Fsync flushes the device.
func (d *disk) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	return d.s.do(func() error { return d.s.dev.Flush(ctx) })
}
