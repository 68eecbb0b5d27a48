package ceph

import "fmt"

// Errno is the result of an operation as it travels: a negative Linux errno, 0 or
// a positive count for success. As an error it is one of the values below.
type Errno int32

// Errnos that daemons and clients of the cluster exchange. They are Linux's,
// whatever system this runs on.
const (
	EPERM        Errno = -1
	ENOENT       Errno = -2
	EINTR        Errno = -4
	EIO          Errno = -5
	ENXIO        Errno = -6
	E2BIG        Errno = -7
	ENOEXEC      Errno = -8
	EBADF        Errno = -9
	EAGAIN       Errno = -11
	ENOMEM       Errno = -12
	EACCES       Errno = -13
	EBUSY        Errno = -16
	EEXIST       Errno = -17
	ENODEV       Errno = -19
	ENOTDIR      Errno = -20
	EINVAL       Errno = -22
	EFBIG        Errno = -27
	ENOSPC       Errno = -28
	EROFS        Errno = -30
	EDOM         Errno = -33
	ERANGE       Errno = -34
	ENAMETOOLONG Errno = -36
	ENOSYS       Errno = -38
	ENOTEMPTY    Errno = -39
	ENODATA      Errno = -61
	EBADMSG      Errno = -74
	EOVERFLOW    Errno = -75
	EILSEQ       Errno = -84
	EOLDSNAPC    Errno = -85 // a write with an older snapshot context than the object has
	EMSGSIZE     Errno = -90
	EOPNOTSUPP   Errno = -95
	EISCONN      Errno = -106
	ENOTCONN     Errno = -107
	ESHUTDOWN    Errno = -108
	ETIMEDOUT    Errno = -110
	EALREADY     Errno = -114
	EINPROGRESS  Errno = -115
	ESTALE       Errno = -116
	EDQUOT       Errno = -122
	ECANCELED    Errno = -125
	EBLOCKLISTED       = ESHUTDOWN // what a blocklisted client is told

	// maxErrno: comparisons of extents and attributes answer −4095 − position.
	maxErrno Errno = -4095
)

var errnoText = map[Errno]string{
	EPERM: "operation not permitted", ENOENT: "no such file or directory", EINTR: "interrupted", EIO: "input/output error",
	ENXIO: "no such device or address", E2BIG: "argument list too long", ENOEXEC: "not executable", EBADF: "bad descriptor", EAGAIN: "try again", ENOMEM: "out of memory",
	EACCES: "permission denied", EBUSY: "busy", EEXIST: "exists", ENODEV: "no such device", ENOTDIR: "not a directory",
	EINVAL: "invalid argument", EFBIG: "too large", ENOSPC: "no space left", EROFS: "read-only", EDOM: "argument out of domain",
	ERANGE: "result out of range", ENAMETOOLONG: "name too long", ENOSYS: "not implemented", ENOTEMPTY: "not empty", ENODATA: "no data",
	EBADMSG: "bad message", EOVERFLOW: "value too large", EILSEQ: "illegal byte sequence", EOLDSNAPC: "snapshot context is old", EMSGSIZE: "message too long", EOPNOTSUPP: "operation not supported",
	EISCONN: "connected already", ENOTCONN: "not connected", ESHUTDOWN: "shut down or blocklisted", ETIMEDOUT: "timed out",
	EALREADY: "under way already", EINPROGRESS: "in progress", ESTALE: "stale", EDQUOT: "quota exceeded", ECANCELED: "cancelled",
}

// Error says what the errno means, with its number.
func (e Errno) Error() string {
	if s, ok := errnoText[e]; ok {
		return fmt.Sprintf("%s (%d)", s, int32(e))
	}
	return fmt.Sprintf("error %d", int32(e))
}

// Mismatch is the result of a failed comparison at offset off of an extent.
func Mismatch(off uint64) Errno { return maxErrno - Errno(off) }
