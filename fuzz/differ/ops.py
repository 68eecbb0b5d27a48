"""Carries out operations through librados, one a line from stdin, and prints one
line a result. What they mean stands in doc.go of this directory.

Results are such that two clusters give the same: numbers that a cluster hands out
(clients, snapshots, cookies, versions) are shown by name or as a difference.
"""

import ctypes
import errno
import hashlib
import json
import shlex
import sys
import threading
import time
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_long, c_size_t, c_ubyte, c_uint32, c_uint64, c_void_p

L = ctypes.CDLL("librados.so.2")
for name in ("rados_create_write_op", "rados_create_read_op", "rados_object_list_begin", "rados_object_list_end"):
    getattr(L, name).restype = c_void_p
for name in ("rados_get_last_version", "rados_get_instance_id"):
    getattr(L, name).restype = c_uint64
for name in ("rados_pool_lookup", "rados_list_lockers"):
    getattr(L, name).restype = c_int64
L.rados_nobjects_list_seek.restype = c_uint32

HEAD = 2**64 - 2
COMPARE = {"eq": 1, "ne": 2, "gt": 3, "ge": 4, "lt": 5, "le": 6}
FLAGS = {"excl": 1, "failok": 2, "nocache": 0x40}
SUMS = {"xxhash32": (0, 4), "xxhash64": (1, 8), "crc32c": (2, 4), "unknown": (9, 4)}


class Spec(ctypes.Structure):
    _fields_ = [("sec", c_long), ("nsec", c_long)]


class Item(ctypes.Structure):
    _fields_ = [("oid_len", c_size_t), ("oid", c_void_p), ("ns_len", c_size_t), ("ns", c_void_p), ("loc_len", c_size_t), ("loc", c_void_p)]


class Ack(ctypes.Structure):
    _fields_ = [("notifier", c_uint64), ("cookie", c_uint64), ("payload", c_void_p), ("len", c_uint64)]


class Timeout(ctypes.Structure):
    _fields_ = [("notifier", c_uint64), ("cookie", c_uint64)]


Notified = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64, c_uint64, c_void_p, c_size_t)
WatchLost = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_int)


def number(s):
    """An integer, with k or m for 2**10 or 2**20."""
    return int(s[:-1], 0) << {"k": 10, "m": 20}[s[-1]] if s[-1] in "km" else int(s, 0)


def value(s):
    """Bytes: @rand:SEED:LENGTH, @fill:TEXT:LENGTH, @hex:DIGITS, or the text itself."""
    if ":" not in s or not s.startswith("@"):
        return s.encode()
    kind, rest = s[1:].split(":", 1)
    if kind == "hex":
        return bytes.fromhex(rest)
    text, length = rest.rsplit(":", 1)
    n = number(length)
    if kind == "fill":
        return (text.encode() * (n // len(text.encode()) + 1))[:n]
    if kind == "rand":
        return hashlib.shake_128(text.encode()).digest(n)
    raise ValueError("what is " + s)


def show(b):
    """Bytes as text if short and printable, else as digits or length and digest."""
    if len(b) > 40:
        return "%d:%s" % (len(b), hashlib.sha256(b).hexdigest()[:16])
    if all(32 <= c < 127 and c not in b"\"\\" for c in b):
        return '"%s"' % b.decode()
    return "x" + b.hex()


def shown(names):
    """A list of texts, or when long their count and digest."""
    text = " ".join(names)
    if len(text) > 600:
        return "%d names %s" % (len(names), hashlib.sha256(text.encode()).hexdigest()[:16])
    return "[" + text + "]"


def result(r):
    """A return value; errors by name."""
    r = int(r)
    if -4096 < r < 0:
        return errno.errorcode.get(-r, str(r))
    return str(r)


def signed(i):
    return c_int(i).value if isinstance(i, int) else i.value


def array(items):
    return (c_char_p * len(items))(*items)


def sizes(items):
    return (c_size_t * len(items))(*map(len, items))


class Client:
    """A connection to the cluster."""

    def __init__(self):
        self.h = c_void_p()
        check(L.rados_create(byref(self.h), None), "create")
        check(L.rados_conf_read_file(self.h, None), "configuration")
        check(L.rados_conf_parse_env(self.h, None), "CEPH_ARGS")
        check(L.rados_connect(self.h), "connect")
        self.id = L.rados_get_instance_id(self.h)
        self.io = {}

    def ioctx(self, pool):
        if pool not in self.io:
            io = c_void_p()
            r = L.rados_ioctx_create(self.h, pool.encode(), byref(io))
            if r < 0:
                raise Refused(r)
            self.io[pool] = io
        return self.io[pool]

    def forget(self, pool):
        if pool in self.io:
            L.rados_ioctx_destroy(self.io.pop(pool))

    def mon(self, **cmd):
        out, outlen, text, textlen = c_char_p(), c_size_t(), c_char_p(), c_size_t()
        cmds = array([json.dumps(cmd).encode()])
        return L.rados_mon_command(self.h, cmds, c_size_t(1), b"", c_size_t(0), byref(out), byref(outlen), byref(text), byref(textlen))


class Refused(Exception):
    """A call that a line needs failed."""


def check(r, what):
    if r < 0:
        sys.exit("ops: %s: %s" % (what, result(r)))


class Watching:
    """A watch with what it was told."""

    def __init__(self, key, mute):
        self.key, self.mute, self.events = key, mute, []
        self.changed = threading.Condition()
        self.cookie = c_uint64()
        self.io = self.oid = None
        self.notified = Notified(self.on_notify)
        self.lost = WatchLost(self.on_lost)

    def tell(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def on_notify(self, arg, notify, cookie, notifier, data, n):
        payload = ctypes.string_at(data, n)
        self.tell("notify:" + show(payload))
        if not self.mute:
            ack = self.key.encode() + b" has " + payload
            L.rados_notify_ack(self.io, self.oid, c_uint64(notify), c_uint64(cookie), ack, c_int(len(ack)))

    def on_lost(self, arg, cookie, err):
        self.tell("lost:" + result(err))

    def wait(self, n):
        with self.changed:
            self.changed.wait_for(lambda: len(self.events) >= n, 20)
            return list(self.events)


class Runner:
    def __init__(self):
        self.clients = {}
        self.snaps = {}  # name: id, of self-managed snapshots
        self.case("none")

    def case(self, name):
        """Begins a case: the state that lines leave to each other, from scratch."""
        self.name, self.who, self.pool, self.ns, self.key, self.version = name, "a", "one", name, None, None
        self.read_snap, self.context = HEAD, (0, [])
        self.watches = {}

    def client(self):
        if self.who not in self.clients:
            self.clients[self.who] = Client()
        return self.clients[self.who]

    def io(self):
        io = self.client().ioctx(self.pool)
        L.rados_ioctx_set_namespace(io, self.ns.encode())
        L.rados_ioctx_locator_set_key(io, self.key)
        L.rados_ioctx_snap_set_read(io, c_uint64(self.read_snap))
        seq, snaps = self.context
        L.rados_ioctx_selfmanaged_snap_set_write_ctx(io, c_uint64(seq), (c_uint64 * len(snaps))(*snaps), c_int(len(snaps)))
        return io

    def versioned(self, io, r):
        """The result with how far the version is from the case's first one. Only in
        a pool of one PG, which nothing else uses at the same time, is that the same everywhere."""
        if self.pool != "one" or r < 0:
            return result(r)
        v = L.rados_get_last_version(io)
        if v == 0:
            return result(r) + " v0"
        if self.version is None:
            self.version = v
        return "%s v%+d" % (result(r), v - self.version)

    def who_is(self, entity):
        for name, c in self.clients.items():
            if entity == "client.%d" % c.id:
                return name
        return entity

    def run(self, words):
        f = getattr(self, "do_" + words[0], None)
        if f is None:
            raise ValueError("no operation " + words[0])
        try:
            return f(*words[1:])
        except Refused as e:
            return "refused " + result(e.args[0])

    # What following lines use.

    def do_case(self, name):
        self.case(name)
        return "0"

    def do_as(self, who):
        self.who = who
        self.client()
        return "0"

    def do_pool(self, name):
        self.client().ioctx(name)
        self.pool = name
        return "0"

    def do_ns(self, name=""):
        self.ns = name if name != "ALL" else "\001"
        return "0"

    def do_loc(self, key=None):
        self.key = key.encode() if key else None
        return "0"

    # Pools.

    def do_mkpool(self, name, pgs="8"):
        r = self.client().mon(prefix="osd pool create", pool=name, pg_num=int(pgs))
        if r >= 0:
            L.rados_wait_for_latest_osdmap(self.client().h)
        return result(r)

    def do_rmpool(self, name):
        self.client().forget(name)
        return result(L.rados_pool_delete(self.client().h, name.encode()))

    def do_lookup(self, name):
        r = L.rados_pool_lookup(self.client().h, name.encode())
        return result(min(r, 0))

    # Data.

    def do_write(self, oid, off, data):
        io, d = self.io(), value(data)
        return self.versioned(io, L.rados_write(io, value(oid), d, c_size_t(len(d)), c_uint64(number(off))))

    def do_append(self, oid, data):
        io, d = self.io(), value(data)
        return self.versioned(io, L.rados_append(io, value(oid), d, c_size_t(len(d))))

    def do_full(self, oid, data):
        io, d = self.io(), value(data)
        return self.versioned(io, L.rados_write_full(io, value(oid), d, c_size_t(len(d))))

    def do_same(self, oid, off, length, data):
        io, d = self.io(), value(data)
        return self.versioned(io, L.rados_writesame(io, value(oid), d, c_size_t(len(d)), c_size_t(number(length)), c_uint64(number(off))))

    def do_trunc(self, oid, size):
        io = self.io()
        return self.versioned(io, L.rados_trunc(io, value(oid), c_uint64(number(size))))

    def do_rm(self, oid):
        io = self.io()
        return self.versioned(io, L.rados_remove(io, value(oid)))

    def do_hint(self, oid, size, write, flags="0"):
        io = self.io()
        return self.versioned(io, L.rados_set_alloc_hint2(io, value(oid), c_uint64(number(size)), c_uint64(number(write)), c_uint32(number(flags))))

    def do_read(self, oid, off="0", length="4m"):
        io, n = self.io(), number(length)
        buf = ctypes.create_string_buffer(n or 1)
        r = L.rados_read(io, value(oid), buf, c_size_t(n), c_uint64(number(off)))
        return result(r) if r < 0 else self.versioned(io, r) + " " + show(buf.raw[:r])

    def do_stat(self, oid):
        io, size, mtime = self.io(), c_uint64(), c_long()
        r = L.rados_stat(io, value(oid), byref(size), byref(mtime))
        return result(r) if r < 0 else "%s size %d mtime %s" % (self.versioned(io, r), size.value, moment(mtime.value))

    def do_cmpext(self, oid, off, data):
        io, d = self.io(), value(data)
        return result(L.rados_cmpext(io, value(oid), d, c_size_t(len(d)), c_uint64(number(off))))

    def do_sum(self, oid, kind, init, off, length, chunk):
        io = self.io()
        code, width = SUMS[kind]
        seed, buf = number(init).to_bytes(width, "little"), ctypes.create_string_buffer(4096)
        r = L.rados_checksum(io, value(oid), code, seed, c_size_t(width), c_size_t(number(length)), c_uint64(number(off)), c_size_t(number(chunk)), buf, c_size_t(4096))
        if r < 0:
            return result(r)
        n = int.from_bytes(buf.raw[:4], "little")
        return "%s %d sums %s" % (result(r), n, show(buf.raw[4 : 4 + n * width]))

    # Attributes.

    def do_getx(self, oid, name, room="64k"):
        io, n = self.io(), number(room)
        buf = ctypes.create_string_buffer(n or 1)
        r = L.rados_getxattr(io, value(oid), value(name), buf, c_size_t(n))
        return result(r) if r < 0 else self.versioned(io, r) + " " + show(buf.raw[:r])

    def do_setx(self, oid, name, data):
        io, d = self.io(), value(data)
        return self.versioned(io, L.rados_setxattr(io, value(oid), value(name), d, c_size_t(len(d))))

    def do_rmx(self, oid, name):
        io = self.io()
        return self.versioned(io, L.rados_rmxattr(io, value(oid), value(name)))

    def do_listx(self, oid):
        io, it = self.io(), c_void_p()
        r = L.rados_getxattrs(io, value(oid), byref(it))
        return result(r) if r < 0 else result(r) + " " + attrs(it)

    # Methods of object classes.

    def do_exec(self, oid, cls, method, data="", room="4096"):
        io, d, n = self.io(), value(data), number(room)
        buf = ctypes.create_string_buffer(n)
        r = L.rados_exec(io, value(oid), cls.encode(), method.encode(), d, c_size_t(len(d)), buf, c_size_t(n))
        return result(r) if r <= 0 else "%s %s" % (result(r), show(buf.raw[:r]))

    # Several operations as one.

    def do_w(self, oid, *words):
        io, op, flags, mtime = self.io(), c_void_p(L.rados_create_write_op()), 0, None
        rvals = []

        def rval():
            rvals.append(c_int(-12345))
            return byref(rvals[-1])

        for sub in split(words):
            name, a = sub[0], sub[1:]
            v = [value(s) for s in a]
            if name == "exists":
                L.rados_write_op_assert_exists(op)
            elif name == "ver":
                L.rados_write_op_assert_version(op, c_uint64(self.absolute(a[0])))
            elif name == "cmpext":
                L.rados_write_op_cmpext(op, v[1], c_size_t(len(v[1])), c_uint64(number(a[0])), rval())
            elif name == "cmpx":
                L.rados_write_op_cmpxattr(op, v[0], c_ubyte(COMPARE[a[1]]), v[2], c_size_t(len(v[2])))
            elif name == "omapcmp":
                L.rados_write_op_omap_cmp2(op, v[0], c_ubyte(COMPARE[a[1]]), v[2], c_size_t(len(v[0])), c_size_t(len(v[2])), rval())
            elif name == "setx":
                L.rados_write_op_setxattr(op, v[0], v[1], c_size_t(len(v[1])))
            elif name == "rmx":
                L.rados_write_op_rmxattr(op, v[0])
            elif name == "create":
                L.rados_write_op_create(op, int("excl" in a), None)
            elif name == "write":
                L.rados_write_op_write(op, v[1], c_size_t(len(v[1])), c_uint64(number(a[0])))
            elif name == "full":
                L.rados_write_op_write_full(op, v[0], c_size_t(len(v[0])))
            elif name == "same":
                L.rados_write_op_writesame(op, v[2], c_size_t(len(v[2])), c_size_t(number(a[1])), c_uint64(number(a[0])))
            elif name == "append":
                L.rados_write_op_append(op, v[0], c_size_t(len(v[0])))
            elif name == "rm":
                L.rados_write_op_remove(op)
            elif name == "trunc":
                L.rados_write_op_truncate(op, c_uint64(number(a[0])))
            elif name == "zero":
                L.rados_write_op_zero(op, c_uint64(number(a[0])), c_uint64(number(a[1])))
            elif name == "exec":
                d = v[2] if len(v) > 2 else b""
                L.rados_write_op_exec(op, v[0], v[1], d, c_size_t(len(d)), rval())
            elif name == "omapset":
                k, d = v[0::2], v[1::2]
                L.rados_write_op_omap_set2(op, array(k), array(d), sizes(k), sizes(d), c_size_t(len(k)))
            elif name == "omapmany":  # PREFIX COUNT LENGTH
                k = [b"%s%05d" % (v[0], i) for i in range(number(a[1]))]
                d = [value("@rand:%d:%s" % (i, a[2])) for i in range(number(a[1]))]
                L.rados_write_op_omap_set2(op, array(k), array(d), sizes(k), sizes(d), c_size_t(len(k)))
            elif name == "omaprm":
                L.rados_write_op_omap_rm_keys2(op, array(v), sizes(v), c_size_t(len(v)))
            elif name == "omaprange":
                L.rados_write_op_omap_rm_range2(op, v[0], c_size_t(len(v[0])), v[1], c_size_t(len(v[1])))
            elif name == "omapclear":
                L.rados_write_op_omap_clear(op)
            elif name == "hint":
                L.rados_write_op_set_alloc_hint(op, c_uint64(number(a[0])), c_uint64(number(a[1])))
            elif name == "flag":  # of the operation before
                L.rados_write_op_set_flags(op, FLAGS[a[0]])
            elif name == "mtime":
                mtime = Spec(int(a[0]), int(a[1]))
            elif name == "ordersnap":
                flags |= 512
            elif name == "returnvec":
                flags |= 1024
            elif name == "none":
                pass
            else:
                raise ValueError("no write " + name)
        r = L.rados_write_op_operate2(op, io, value(oid), byref(mtime) if mtime else None, flags)
        L.rados_release_write_op(op)
        return self.versioned(io, r) + "".join(" rval " + result(signed(x)) for x in rvals if x.value != -12345)

    def do_r(self, oid, *words):
        io, op = self.io(), c_void_p(L.rados_create_read_op())
        got, keep = [], []

        def rval(f):
            x = c_int(-12345)
            got.append((x, f))
            return byref(x)

        for sub in split(words):
            name, a = sub[0], sub[1:]
            v = [value(s) for s in a]
            keep.append(v)
            if name == "exists":
                L.rados_read_op_assert_exists(op)
            elif name == "ver":
                L.rados_read_op_assert_version(op, c_uint64(self.absolute(a[0])))
            elif name == "cmpext":
                L.rados_read_op_cmpext(op, v[1], c_size_t(len(v[1])), c_uint64(number(a[0])), rval(lambda: ""))
            elif name == "cmpx":
                L.rados_read_op_cmpxattr(op, v[0], c_ubyte(COMPARE[a[1]]), v[2], c_size_t(len(v[2])))
            elif name == "omapcmp":
                L.rados_read_op_omap_cmp2(op, v[0], c_ubyte(COMPARE[a[1]]), v[2], c_size_t(len(v[0])), c_size_t(len(v[2])), rval(lambda: ""))
            elif name == "listx":
                it = c_void_p()
                L.rados_read_op_getxattrs(op, byref(it), rval(lambda it=it: attrs(it)))
            elif name == "stat":
                size, mtime = c_uint64(), c_long()
                L.rados_read_op_stat(op, byref(size), byref(mtime), rval(lambda size=size, mtime=mtime: "size %d mtime %s" % (size.value, moment(mtime.value))))
            elif name == "read":
                n = number(a[1])
                buf, used = ctypes.create_string_buffer(n or 1), c_size_t()
                L.rados_read_op_read(op, c_uint64(number(a[0])), c_size_t(n), buf, byref(used), rval(lambda buf=buf, used=used: show(buf.raw[: used.value])))
            elif name == "sum":
                code, width = SUMS[a[0]]
                seed, buf = number(a[1]).to_bytes(width, "little"), ctypes.create_string_buffer(4096)
                keep.append(seed)
                L.rados_read_op_checksum(op, code, seed, c_size_t(width), c_uint64(number(a[2])), c_size_t(number(a[3])), c_size_t(number(a[4])), buf, c_size_t(4096), rval(lambda buf=buf, width=width: show(buf.raw[: 4 + width * int.from_bytes(buf.raw[:4], "little")])))
            elif name == "exec":
                d = v[2] if len(v) > 2 else b""
                out, n = c_void_p(), c_size_t()
                L.rados_read_op_exec(op, v[0], v[1], d, c_size_t(len(d)), byref(out), byref(n), rval(lambda out=out, n=n: show(ctypes.string_at(out.value, n.value) if out.value else b"")))
            elif name == "keys":
                it, more = c_void_p(), c_ubyte()
                L.rados_read_op_omap_get_keys2(op, v[0], c_uint64(number(a[1])), byref(it), byref(more), rval(lambda it=it, more=more: omap(it, False, more)))
            elif name == "vals":
                it, more = c_void_p(), c_ubyte()
                L.rados_read_op_omap_get_vals2(op, v[0], v[1], c_uint64(number(a[2])), byref(it), byref(more), rval(lambda it=it, more=more: omap(it, True, more)))
            elif name == "byk":
                it = c_void_p()
                L.rados_read_op_omap_get_vals_by_keys2(op, array(v), c_size_t(len(v)), sizes(v), byref(it), rval(lambda it=it: omap(it, True, None)))
            elif name == "flag":
                L.rados_read_op_set_flags(op, FLAGS[a[0]])
            elif name == "none":
                pass
            else:
                raise ValueError("no read " + name)
        r = L.rados_read_op_operate(op, io, value(oid), 0)
        text = self.versioned(io, r)
        for x, f in got:
            if x.value == -12345:
                text += " | not done"
            else:
                text += " | " + (result(signed(x)) + " " + (f() if x.value >= 0 and r >= -4095 else "")).strip()
        L.rados_release_read_op(op)
        return text

    def absolute(self, s):
        """A version: +N from the case's first, or N."""
        return (self.version or 0) + int(s) if s[0] in "+-" else int(s)

    # Listings.

    def do_ls(self, seek=None):
        io, ctx = self.io(), c_void_p()
        r = L.rados_nobjects_list_open(io, byref(ctx))
        if r < 0:
            return result(r)
        if seek is not None:
            L.rados_nobjects_list_seek(ctx, c_uint32(number(seek)))
        names = []
        while True:
            p, k, n = c_void_p(), c_void_p(), c_void_p()
            pn, kn, nn = c_size_t(), c_size_t(), c_size_t()
            r = L.rados_nobjects_list_next2(ctx, byref(p), byref(k), byref(n), byref(pn), byref(kn), byref(nn))
            if r < 0:
                break
            names.append(listed(ctypes.string_at(p.value, pn.value), ctypes.string_at(k.value, kn.value) if k.value else b"", ctypes.string_at(n.value, nn.value), self.ns))
        L.rados_nobjects_list_close(ctx)
        return result(r) + " " + shown(names)

    def do_pages(self, size, part="0", parts="1"):
        """Lists with cursors, so many at a time; or a part of so many."""
        io = self.io()
        at, end = c_void_p(L.rados_object_list_begin(io)), c_void_p(L.rados_object_list_end(io))
        if int(parts) > 1:
            a, b = c_void_p(L.rados_object_list_begin(io)), c_void_p(L.rados_object_list_begin(io))
            L.rados_object_list_slice(io, at, end, c_size_t(int(part)), c_size_t(int(parts)), byref(a), byref(b))
            at, end = a, b
        n, text = int(size), []
        for _ in range(1000):
            if L.rados_object_list_cursor_cmp(io, at, end) >= 0:
                return shown(text)
            items, after = (Item * n)(), c_void_p(L.rados_object_list_begin(io))
            r = L.rados_object_list(io, at, end, c_size_t(n), None, c_size_t(0), items, byref(after))
            if r < 0:
                return result(r) + " " + shown(text)
            text += [listed(ctypes.string_at(i.oid, i.oid_len), ctypes.string_at(i.loc, i.loc_len) if i.loc else b"", ctypes.string_at(i.ns, i.ns_len) if i.ns else b"", self.ns) for i in items[:r]]
            text.append("/")
            at = after
        return "no end " + shown(text)

    # Snapshots.

    def do_mksnap(self, name):
        return result(L.rados_ioctx_snap_create(self.io(), name.encode()))

    def do_rmsnap(self, name):
        return result(L.rados_ioctx_snap_remove(self.io(), name.encode()))

    def do_lssnap(self):
        io, ids = self.io(), (c_uint64 * 100)()
        r = L.rados_ioctx_snap_list(io, ids, 100)
        names = []
        for i in ids[: max(r, 0)]:
            buf = ctypes.create_string_buffer(100)
            check(L.rados_ioctx_snap_get_name(io, c_uint64(i), buf, 100), "name of a snapshot")
            names.append(buf.value.decode())
        return result(r) + " " + shown(names)

    def do_snapid(self, name):
        i = c_uint64()
        return result(L.rados_ioctx_snap_lookup(self.io(), name.encode(), byref(i)))

    def do_rollback(self, oid, name):
        io = self.io()
        return self.versioned(io, L.rados_ioctx_snap_rollback(io, value(oid), name.encode()))

    def do_ssnew(self, name):
        i = c_uint64()
        r = L.rados_ioctx_selfmanaged_snap_create(self.io(), byref(i))
        if r >= 0:
            self.snaps[self.name + "/" + name] = i.value
        return result(r)

    def do_ssrm(self, name):
        return result(L.rados_ioctx_selfmanaged_snap_remove(self.io(), c_uint64(self.snap(name))))

    def do_ssrollback(self, oid, name):
        io = self.io()
        return self.versioned(io, L.rados_ioctx_selfmanaged_snap_rollback(io, value(oid), c_uint64(self.snap(name))))

    def snap(self, name):
        """The id of a self-managed snapshot, of one of the pool, or a number."""
        if name == "head":
            return HEAD
        if self.name + "/" + name in self.snaps:
            return self.snaps[self.name + "/" + name]
        i = c_uint64()
        if L.rados_ioctx_snap_lookup(self.client().ioctx(self.pool), name.encode(), byref(i)) >= 0:
            return i.value
        return number(name)

    def do_snapread(self, name="head"):
        self.read_snap = self.snap(name)
        return "0"

    def do_snapc(self, *names):
        """The snapshots that are there, oldest first, for following writes. The first
        word may be seq=NAME when the newest is no longer there."""
        seq = 0
        if names and names[0].startswith("seq="):
            seq = self.snap(names[0][4:])
            names = names[1:]
        ids = sorted((self.snap(n) for n in names), reverse=True)
        self.context = (seq or (ids[0] if ids else 0), ids)
        return "0"

    def do_badsnapc(self, seq, *ids):
        """A context as it stands, sound or not: the call is told, nothing else."""
        n = [number(i) for i in ids]
        return result(L.rados_ioctx_selfmanaged_snap_set_write_ctx(self.client().ioctx(self.pool), c_uint64(number(seq)), (c_uint64 * len(n))(*n), c_int(len(n))))

    # Locks.

    def do_lock(self, kind, oid, name, cookie, tag="", desc="", flags="0", seconds="0"):
        io = self.io()
        lasts = byref(Spec(int(seconds), 0)) if seconds != "0" else None
        if kind == "ex":
            r = L.rados_lock_exclusive(io, value(oid), name.encode(), cookie.encode(), desc.encode(), lasts, c_ubyte(int(flags)))
        else:
            r = L.rados_lock_shared(io, value(oid), name.encode(), cookie.encode(), tag.encode(), desc.encode(), lasts, c_ubyte(int(flags)))
        return result(r)

    def do_unlock(self, oid, name, cookie):
        return result(L.rados_unlock(self.io(), value(oid), name.encode(), cookie.encode()))

    def do_breaklock(self, oid, name, who, cookie):
        c = self.clients.get(who)
        entity = "client.%d" % c.id if c else who
        return result(L.rados_break_lock(self.io(), value(oid), name.encode(), entity.encode(), cookie.encode()))

    def do_lockers(self, oid, name):
        ex, bufs, lens = c_int(), [], []
        for _ in range(4):
            bufs.append(ctypes.create_string_buffer(4096))
            lens.append(c_size_t(4096))
        r = L.rados_list_lockers(self.io(), value(oid), name.encode(), byref(ex), bufs[0], byref(lens[0]), bufs[1], byref(lens[1]), bufs[2], byref(lens[2]), bufs[3], byref(lens[3]))
        if r < 0:
            return result(r)
        tag, clients, cookies = (b.raw[: n.value].rstrip(b"\0").decode() for b, n in list(zip(bufs, lens))[:3])
        who = sorted(self.who_is(c) + "/" + k for c, k in zip(clients.split("\0"), cookies.split("\0"))) if r else []
        return "%s exclusive %d tag %s %s" % (result(r), ex.value, tag or "-", shown(who))

    # Watches and notifies.

    def do_watch(self, oid, key, *how):
        io, w = self.io(), Watching(key, "mute" in how)
        w.io, w.oid = io, value(oid)
        r = L.rados_watch3(io, w.oid, byref(w.cookie), w.notified, w.lost, c_uint32(0), None)
        if r >= 0:
            self.watches[key] = w
        return result(r)

    def do_unwatch(self, key):
        return result(L.rados_unwatch2(self.watches[key].io, self.watches[key].cookie))

    def do_watchcheck(self, key):
        r = L.rados_watch_check(self.watches[key].io, self.watches[key].cookie)
        return "watched" if r >= 0 else result(r)

    def do_events(self, key, n="0"):
        return shown(self.watches[key].wait(int(n)))

    def do_notify(self, oid, data, timeout="10000"):
        io, d, out, n = self.io(), value(data), c_void_p(), c_size_t()
        r = L.rados_notify2(io, value(oid), d, c_int(len(d)), c_uint64(int(timeout)), byref(out), byref(n))
        acks, na, lost, nl = c_void_p(), c_size_t(), c_void_p(), c_size_t()
        text = result(r)
        if out.value and L.rados_decode_notify_response(out, n, byref(acks), byref(na), byref(lost), byref(nl)) >= 0:
            keys = {w.cookie.value: k for k, w in self.watches.items()}
            a = ctypes.cast(acks, POINTER(Ack))[: na.value] if na.value else []
            t = ctypes.cast(lost, POINTER(Timeout))[: nl.value] if nl.value else []
            text += " acks " + shown(sorted(keys.get(x.cookie, "?") + ":" + show(ctypes.string_at(x.payload, x.len)) for x in a))
            text += " missed " + shown(sorted(keys.get(x.cookie, "?") for x in t))
        return text

    def do_sleep(self, seconds):
        time.sleep(float(seconds))
        return "0"


def moment(t):
    """A time: now, or the seconds."""
    return "now" if abs(t - time.time()) < 600 else str(t)


def split(words):
    sub = []
    for w in words:
        if w == ";":
            yield sub
            sub = []
        else:
            sub.append(w)
    yield sub


def listed(oid, loc, ns, usual):
    text = show(oid).strip('"')
    if loc:
        text += "@" + show(loc).strip('"')
    if ns.decode() != usual:
        text = ns.decode() + "/" + text
    return text


def attrs(it):
    got = []
    while True:
        name, val, n = c_char_p(), c_void_p(), c_size_t()
        if L.rados_getxattrs_next(it, byref(name), byref(val), byref(n)) < 0 or not name.value:
            break
        v = ctypes.string_at(val.value, n.value) if val.value else b""
        # A lock that is held has its client's address in it.
        held = name.value.startswith(b"lock.") and len(v) > 40
        got.append(name.value.decode(errors="replace") + "=" + ("%d:held" % len(v) if held else show(v)))
    L.rados_getxattrs_end(it)
    return shown(sorted(got))


def omap(it, values, more):
    got = []
    while True:
        key, val, kn, vn = c_void_p(), c_void_p(), c_size_t(), c_size_t()
        if L.rados_omap_get_next2(it, byref(key), byref(val), byref(kn), byref(vn)) < 0 or not key.value:
            break
        text = show(ctypes.string_at(key.value, kn.value))
        if values:
            text += "=" + show(ctypes.string_at(val.value, vn.value) if val.value else b"")
        got.append(text)
    L.rados_omap_get_end(it)
    return shown(got) + (" more" if more is not None and more.value else "")


def main():
    r = Runner()
    for line in sys.stdin:
        try:
            print(r.run(shlex.split(line)), flush=True)
        except Exception as e:  # of the line's author: say it where the result would be
            print("error %s: %s" % (type(e).__name__, e), flush=True)


main()
