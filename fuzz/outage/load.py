"""Writes and reads objects through librados in several threads, until told to stop,
and knows what was acknowledged. One command a line from stdin, one answer a line:

    count   operations acknowledged so far
    mon     the result of asking the monitor for its status
    stop    ends the threads, reads everything back and prints what is wrong

Each thread has objects of its own and one operation under way, so what has to be
there is certain: blocks have the number of their last write, a log has every record
once and in order, a map has what was set last.
"""

import ctypes
import hashlib
import json
import random
import sys
import threading
from ctypes import byref, c_char_p, c_int, c_size_t, c_ubyte, c_uint64, c_void_p

L = ctypes.CDLL("librados.so.2")
L.rados_create_write_op.restype = L.rados_create_read_op.restype = c_void_p
BLOCK, BLOCKS, POOL = 4096, 32, b"load"


def check(r, what):
    if r < 0:
        raise OSError(-r, what)
    return r


class Client:
    def __init__(self):
        self.h, self.io = c_void_p(), c_void_p()
        check(L.rados_create(byref(self.h), None), "create")
        check(L.rados_conf_read_file(self.h, None), "configuration")
        check(L.rados_connect(self.h), "connect")
        check(L.rados_ioctx_create(self.h, POOL, byref(self.io)), "pool")

    def write(self, oid, off, data):
        check(L.rados_write(self.io, oid, data, c_size_t(len(data)), c_uint64(off)), oid)

    def append(self, oid, data):
        check(L.rados_append(self.io, oid, data, c_size_t(len(data))), oid)

    def read(self, oid, off, n):
        buf = ctypes.create_string_buffer(n)
        n = check(L.rados_read(self.io, oid, buf, c_size_t(n), c_uint64(off)), oid)
        return buf.raw[:n]

    def set(self, oid, key, value):
        op = c_void_p(L.rados_create_write_op())
        k, v, n = (c_char_p * 1)(key), (c_char_p * 1)(value), (c_size_t * 1)(len(value))
        L.rados_write_op_omap_set(op, k, v, n, c_size_t(1))
        r = L.rados_write_op_operate(op, self.io, oid, None, 0)
        L.rados_release_write_op(op)
        check(r, oid)

    def map(self, oid):
        op, it, more, r = c_void_p(L.rados_create_read_op()), c_void_p(), c_ubyte(), c_int()
        L.rados_read_op_omap_get_vals2(op, b"", b"", c_uint64(1000), byref(it), byref(more), byref(r))
        check(L.rados_read_op_operate(op, self.io, oid, 0), oid)
        got = {}
        while True:
            k, v, n = c_char_p(), c_void_p(), c_size_t()
            L.rados_omap_get_next(it, byref(k), byref(v), byref(n))
            if not k.value:
                break
            got[k.value] = ctypes.string_at(v.value, n.value)
        L.rados_omap_get_end(it)
        L.rados_release_read_op(op)
        return got

    def status(self):
        out, n, text, m = c_char_p(), c_size_t(), c_char_p(), c_size_t()
        cmd = (c_char_p * 1)(b'{"prefix": "status"}')
        return L.rados_mon_command(self.h, cmd, c_size_t(1), b"", c_size_t(0), byref(out), byref(n), byref(text), byref(m))


def block(name, i, version):
    return hashlib.shake_128(b"%s %d %d" % (name, i, version)).digest(BLOCK) if version else bytes(BLOCK)


class Worker(threading.Thread):
    def __init__(self, client, number):
        super().__init__(daemon=True)
        self.client, self.r = client, random.Random(number)
        self.data, self.log, self.keys = (b"%s%d" % (k, number) for k in (b"data", b"log", b"keys"))
        self.versions, self.records, self.values = [0] * BLOCKS, 0, {}
        self.acked, self.wrong, self.ended = 0, [], False
        self.client.write(self.data, BLOCK * (BLOCKS - 1), block(self.data, 0, 0))

    def run(self):
        try:
            while not self.ended:
                self.step()
                self.acked += 1
        except Exception as e:
            self.wrong.append("%s: %r" % (self.data.decode(), e))

    def step(self):
        i = self.r.randrange(BLOCKS)
        what = self.r.random()
        if what < 0.4:
            v = self.versions[i] + 1
            self.client.write(self.data, i * BLOCK, block(self.data, i, v))
            self.versions[i] = v
        elif what < 0.6:
            self.client.append(self.log, b"%07d\n" % self.records)
            self.records += 1
        elif what < 0.75:
            k, v = b"key%d" % i, b"value%d" % self.r.randrange(1 << 30)
            self.client.set(self.keys, k, v)
            self.values[k] = v
        elif self.client.read(self.data, i * BLOCK, BLOCK) != block(self.data, i, self.versions[i]):
            self.wrong.append("%s block %d is not version %d" % (self.data.decode(), i, self.versions[i]))

    def verify(self, client):
        for i, v in enumerate(self.versions):
            if client.read(self.data, i * BLOCK, BLOCK) != block(self.data, i, v):
                self.wrong.append("in the end %s block %d is not version %d" % (self.data.decode(), i, v))
        if self.records:
            want = [b"%07d" % n for n in range(self.records)]
            got = client.read(self.log, 0, 16 * self.records + 64).split(b"\n")[:-1]
            if got != want:
                self.wrong.append("in the end %s is not its %d records but %d: %r" % (self.log.decode(), self.records, len(got), got[:20]))
        if self.values and client.map(self.keys) != self.values:
            self.wrong.append("in the end %s is not what was set" % self.keys.decode())


def main():
    # Two connections, as two programs would have.
    clients = [Client(), Client()]
    workers = [Worker(clients[i % 2], i) for i in range(int(sys.argv[1]))]
    for w in workers:
        w.start()
    print("began", flush=True)
    for line in sys.stdin:
        if line == "count\n":
            print(sum(w.acked for w in workers), flush=True)
        elif line == "mon\n":
            print(clients[0].status(), flush=True)
        else:
            for w in workers:
                w.ended = True
            for w in workers:
                w.join()
            late = Client()
            for w in workers:
                w.verify(late)
            print(json.dumps({"acked": sum(w.acked for w in workers), "wrong": [x for w in workers for x in w.wrong]}), flush=True)
            return


main()
