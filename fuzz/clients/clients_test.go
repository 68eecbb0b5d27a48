package clients

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"ebofs/fuzz/stock"
)

// TestClients has every program use a cluster over each kind of connection.
func TestClients(t *testing.T) {
	stock.Need(t, "rados", "rbd", "ceph", "fio")
	var commands atomic.Int64
	t.Cleanup(func() { fmt.Printf("client commands: %d\n", commands.Load()) })
	for _, k := range []struct{ auth, mode string }{{"none", "crc"}, {"cephx", "crc"}, {"cephx", "secure"}} {
		t.Run(k.auth+"-"+k.mode, func(t *testing.T) {
			t.Parallel()
			c := stock.StartOurs(t, stock.Cluster{OSDs: 2, OSDBytes: 2 << 30, Auth: k.auth, Mode: k.mode})
			for _, p := range []struct {
				name string
				run  func(*shell)
			}{{"ceph", useCeph}, {"rados", useRados}, {"snapshots", useSnapshots}, {"rbd", useRBD}, {"fio", useFio}} {
				t.Run(p.name, func(t *testing.T) {
					p.run(&shell{t: t, conf: c.Conf(), dir: t.TempDir(), commands: &commands})
				})
			}
		})
	}
}

func useRados(s *shell) {
	s.run("ceph osd pool create data 8; ceph osd pool create other 8")
	s.want("rados lspools", "^data$", "^other$")
	s.random("five", "5000000")
	s.random("small", "100")
	s.run("rados -p data put big five; rados -p data put small small; rados -p data put none /dev/null")
	s.run("rados -p data get big got; rados -p data get small got2; rados -p data get none got3")
	s.same("five", "got")
	s.same("small", "got2")
	s.is("stat -c %s got3", "0")
	s.is("rados -p data ls | sort | tr '\\n' ' '", "big none small")
	s.want("rados -p data stat big", `^data/big mtime 20\S+, size 5000000$`)
	s.fails(1, "rados -p data stat missing", `error stat-ing data/missing: \(2\) No such file or directory`)
	s.fails(1, "rados -p data get missing x", `error getting data/missing: \(2\) No such file or directory`)
	s.fails(1, "rados -p data rm missing", `\(2\) No such file or directory`)
	s.fails(1, "rados -p missing ls", `error opening pool missing: \(2\) No such file or directory`)
	s.run("rados -p data truncate big 1000; rados -p data get big got; head -c 1000 five >want")
	s.same("want", "got")
	s.run("rados -p data append big small; rados -p data get big got; cat small >>want")
	s.same("want", "got")
	s.run("rados -p data put --offset 500 big small; rados -p data get big got; dd if=small of=want bs=500 seek=1 conv=notrunc status=none")
	s.same("want", "got")
	s.run("rados -p data create made; rados -p data touch touched")
	s.fails(1, "rados -p data create made", `\(17\) File exists`)
	s.want("rados -p data stat touched", "size 0$")
	s.run("rados -p data cp small copied; rados -p data get copied got")
	s.same("small", "got")

	s.run("rados -p data setxattr small color blue; rados -p data setxattr small shape round")
	s.is("rados -p data getxattr small color", "blue")
	s.is("rados -p data listxattr small | tr '\\n' ' '", "color shape")
	s.run("rados -p data rmxattr small color")
	s.is("rados -p data listxattr small", "shape")
	s.fails(1, "rados -p data getxattr small color", `\(61\) No data available`)

	s.run("for k in a b c; do rados -p data setomapval keys $k value-$k; done; rados -p data setomapheader keys head")
	s.is("rados -p data listomapkeys keys | tr '\\n' ' '", "a b c")
	s.want("rados -p data getomapval keys b", `value \(7 bytes\)`, `value-b`)
	s.want("rados -p data getomapheader keys", `header \(4 bytes\)`)
	s.want("rados -p data listomapvals keys", `^a$`, `value \(7 bytes\)`)
	s.run("rados -p data rmomapkey keys b")
	s.is("rados -p data listomapkeys keys | tr '\\n' ' '", "a c")
	s.fails(1, "rados -p data getomapval keys b", `No such key`)
	s.run("rados -p data clearomap keys")
	s.is("rados -p data listomapkeys keys", "")

	s.run("rados -p data -N corner put small small; rados -p data -N corner put own small")
	s.is("rados -p data -N corner ls | sort | tr '\\n' ' '", "own small")
	s.want("rados -p data ls --all", `^corner\s+own`, `big`)

	s.run("rados -p data lock get small l --lock-cookie c --lock-type exclusive")
	s.want("rados -p data lock list small", `"name": ?"l"|"l"`)
	info := s.run("rados -p data lock info small l")
	s.fails(1, "rados -p data lock get small l --lock-cookie d --lock-type exclusive", `\(16\) Device or resource busy`)
	locker := regexp.MustCompile(`client\.\d+`).FindString(info)
	s.run("rados -p data lock break small l " + locker + " --lock-cookie c")
	s.run("rados -p data lock get small l --lock-cookie d --lock-type shared --lock-tag t")

	useWatch(s)

	s.want("rados -p data bench 1 write -b 65536 -t 8 --no-cleanup", `Total writes made: +[1-9]`)
	s.want("rados -p data bench 1 seq -t 8", `Total reads made: +[1-9]`)
	s.want("rados -p data bench 1 rand -t 8", `Total reads made: +[1-9]`)
	s.want("rados -p data cleanup", `Removed [1-9]\d* objects`)

	s.run("rados -p data export all.dump; rados -p other import all.dump; rados -p other -N corner get own got")
	s.same("small", "got")
	s.is("diff <(rados -p data ls --all | sort) <(rados -p other ls --all | sort)", "")
	s.is("rados -p other getxattr small shape", "round")
	s.run("rados -p other get big got")
	s.same("want", "got")
	s.run("ceph osd pool create third 8; rados cppool data third; rados -p third get big got")
	s.same("want", "got")
	s.want("rados purge third --yes-i-really-really-mean-it", `successfully purged pool third`)
	s.is("rados -p third ls --all", "")
	s.until("rados df", `^data +[0-9.]+ [KMG]?i?B +[1-9]`)
	s.run("rados -p data rm big; rados -p data rm copied small")
	s.fails(1, "rados -p data stat big", `\(2\) No such file`)
	for _, p := range []string{"data", "other", "third"} {
		s.run("ceph osd pool rm " + p + " " + p + " --yes-i-really-really-mean-it")
	}
	s.is("rados lspools", "")
}

// useWatch watches an object with one program and notifies it with another.
func useWatch(s *shell) {
	s.t.Helper()
	s.commands.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), commandIn)
	defer cancel()
	w := s.command(ctx, "exec rados -p data watch small 2>&1")
	if _, err := w.StdinPipe(); err != nil { // a line would end it
		s.t.Fatal(err)
	}
	out, err := w.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.until("rados -p data listwatchers small", `watcher=127\.0\.0\.1:\S+ client\.\d+ cookie=\d+`)
	s.want("rados -p data notify small hello", `reply client\.\d+ cookie \d+ : `)
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "NOTIFY") {
	}
	if !strings.Contains(lines.Text(), "NOTIFY") {
		s.t.Error("the watcher was not notified")
	}
	cancel()
	w.Wait()
}

func useSnapshots(s *shell) {
	s.run("ceph osd pool create snaps 8")
	s.random("one", "100000")
	s.random("two", "5000")
	s.run("rados -p snaps put o one; rados -p snaps setxattr o x old; rados -p snaps mksnap before; rados -p snaps put o two; rados -p snaps setxattr o x new; rados -p snaps put p two")
	s.want("rados -p snaps lssnap", `^1\s+before\s`, `^1 snaps$`)
	s.run("rados -p snaps -s before get o got")
	s.same("one", "got")
	s.fails(1, "rados -p snaps -s before get p got", `\(2\) No such file`)
	s.want("rados -p snaps listsnaps o", `^1\s+1\s+100000`, `^head\s+-\s+5000`)
	s.run("rados -p snaps rollback o before; rados -p snaps get o got")
	s.same("one", "got")
	s.is("rados -p snaps getxattr o x", "old")
	s.run("rados -p snaps rm o; rados -p snaps -s before get o got")
	s.same("one", "got")
	s.run("rados -p snaps rmsnap before")
	s.want("rados -p snaps lssnap", `^0 snaps$`)
	s.fails(1, "rados -p snaps rmsnap before", `\(2\) No such file`)
	s.until("rados -p snaps ls | tr '\\n' ' '", `^p $`)
	s.run("ceph osd pool rm snaps snaps --yes-i-really-really-mean-it")
}

func useRBD(s *shell) {
	s.run("ceph osd pool create images 8; rbd pool init images")
	s.run("rbd create images/a --size 24M; rbd create images/b --size 16M --image-feature layering")
	s.is("rbd ls images | tr '\\n' ' '", "a b")
	s.want("rbd info images/a", `^\tsize 24 MiB in 6 objects$`, `^\tformat: 2$`, `features: layering, exclusive-lock, object-map, fast-diff, deep-flatten`)
	s.fails(2, "rbd info images/c", `No such file or directory`)
	s.fails(17, "rbd create images/a --size 1M", `File exists`)
	s.random("disk", "20000000")
	s.run("rbd import disk images/disk --no-progress; rbd export images/disk - --no-progress >got")
	s.same("disk", "got")
	s.want("rbd bench images/a --io-type write --io-size 4K --io-threads 8 --io-total 8M --io-pattern rand", `elapsed:`, `ops: 2048`)
	s.want("rbd bench images/a --io-type read --io-size 4K --io-threads 8 --io-total 4M", `ops: 1024`)
	s.want("rbd bench images/b --io-type write --io-size 64K --io-total 4M", `ops: 64 `)

	s.run("rbd snap create images/disk@s --no-progress; rbd snap protect images/disk@s")
	s.want("rbd snap ls images/disk", `\ss\s+19 MiB\s+yes`)
	s.fails(16, "rbd snap rm images/disk@s --no-progress", `protected`)
	s.run("rbd clone images/disk@s images/child; rbd export images/child - --no-progress >got")
	s.same("disk", "got")
	s.is("rbd children images/disk@s", "images/child")
	s.want("rbd info images/child", `parent: images/disk@s`)
	s.run("rbd bench images/child --io-type write --io-size 4K --io-total 1M --io-pattern rand; rbd export images/disk - --no-progress >got; rbd export images/child - --no-progress >child")
	s.same("disk", "got")
	s.run("rbd flatten images/child --no-progress; rbd export images/child - --no-progress >got")
	s.same("child", "got")
	s.is("rbd children images/disk@s", "")

	s.run("rbd bench images/disk --io-type write --io-size 4K --io-total 1M --io-pattern rand; rbd export images/disk - --no-progress >changed")
	s.want("rbd diff images/disk --from-snap s", `^\d+\s+\d+\s+data`)
	s.run("rbd export-diff images/disk --from-snap s diff --no-progress; rbd import disk images/copy --no-progress; rbd snap create images/copy@s --no-progress; rbd import-diff diff images/copy --no-progress; rbd export images/copy - --no-progress >got")
	s.same("changed", "got")
	s.run("rbd snap rollback images/disk@s --no-progress; rbd export images/disk - --no-progress >got")
	s.same("disk", "got")
	s.run("rbd resize images/a --size 40M --no-progress")
	s.want("rbd info images/a", `size 40 MiB in 10 objects`)
	s.fails(22, "rbd resize images/a --size 8M --no-progress", `shrink`)
	s.run("rbd resize images/a --size 8M --allow-shrink --no-progress; rbd rename images/a images/z; rbd cp images/disk images/cp --no-progress; rbd export images/cp - --no-progress >got")
	s.same("disk", "got")
	s.want("rbd du images/z", `z\s+8 MiB`)
	s.run("rbd image-meta set images/z k v")
	s.is("rbd image-meta get images/z k", "v")
	s.want("rbd object-map check images/z 2>&1; echo $?", `^0$`)
	s.run("rbd trash mv images/z")
	s.want("rbd trash ls images", ` z$`)
	s.run("rbd trash restore -p images $(rbd trash ls images | cut -d' ' -f1)")
	s.run("rbd snap unprotect images/disk@s; rbd snap purge images/disk --no-progress; rbd snap purge images/copy --no-progress")
	s.run("for i in $(rbd ls images); do rbd rm images/$i --no-progress; done")
	s.is("rbd ls images", "")
	s.is("rados -p images ls | sort | tr '\\n' ' '", "rbd_children rbd_directory rbd_info rbd_trash")
	s.run("ceph osd pool rm images images --yes-i-really-really-mean-it")
}

func useFio(s *shell) {
	s.run("ceph osd pool create fio 8; rbd pool init fio; rbd create fio/image --size 32M")
	const verify = " --name=v --size=16m --bs=4k --iodepth=16 --rw=randwrite --verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 --output-format=terse --minimal"
	for _, engine := range []string{
		"--ioengine=rados --clientname=admin --pool=fio --busy_poll=0 --conf=$CEPH_CONF",
		"--ioengine=rbd --clientname=admin --pool=fio --rbdname=image",
	} {
		out := s.run("fio " + engine + verify)
		// fields of the terse form: 5 is the error, 6 kilobytes read back
		f := strings.Split(out[strings.Index(out, "3;"):], ";")
		if len(f) < 50 || f[4] != "0" || f[5] != "16384" {
			s.t.Errorf("fio %s: error %s, %s KiB verified\n%s", engine, f[4], f[5], out)
		}
	}
	s.run("ceph osd pool rm fio fio --yes-i-really-really-mean-it")
}

func useCeph(s *shell) {
	s.run("ceph osd pool create seen 8; ceph osd pool application enable seen test; rados -p seen put o /etc/hostname")
	s.until("ceph -s", `health: HEALTH_(OK|WARN)`)
	s.until("ceph -s", `8 active\+clean`)
	s.want("ceph -s", `mon: 1 daemons, quorum a`, `osd: 2 osds: 2 up \(since .*\), 2 in`, `pools: +1 pools, 8 pgs`)
	s.want("ceph health", `^HEALTH_`)
	s.want("ceph df", `--- RAW STORAGE ---`, `--- POOLS ---`, `^seen +1 +8 `)
	s.want("ceph osd tree", `root default`, `osd\.0 +up`, `osd\.1 +up`)
	s.want("ceph osd df", `TOTAL`, `^ *1 `)
	s.want("ceph osd dump", `^pool 1 'seen' replicated size 1`, `^osd\.0 up`)
	s.want("ceph osd map seen o", `osdmap e\d+ pool 'seen' \(1\) object 'o' -> pg 1\.\w+ \(1\.\w\) -> up \(\[\d\], p\d\) acting \(\[\d\], p\d\)`)
	s.want("ceph pg dump pgs_brief", `^1\.[0-7] .*active\+clean`)
	s.want("ceph pg stat", `8 pgs: 8 active\+clean`)
	s.want("ceph auth ls", `^client\.admin$`, `caps: \[mon\] allow \*`)
	s.want("ceph auth get-or-create client.guest mon 'allow r' osd 'allow r pool=seen'", `^\[client\.guest\]$`)
	s.is("ceph auth get-key client.guest | wc -c", "40")
	s.run("ceph auth rm client.guest")
	s.run("ceph config set osd osd_max_backfills 3")
	s.want("ceph config dump", `osd\s+\S*\s*osd_max_backfills\s+3`)
	s.is("ceph config get osd osd_max_backfills", "3")
	s.run("ceph config rm osd osd_max_backfills; ceph log hello")
	s.until("ceph log last 50", `hello`)
	s.want("ceph quorum_status", `"quorum_leader_name": ?"a"`)
	s.want("ceph mon stat", `e\d+: 1 mons at`)
	s.want("ceph osd pool get seen pg_num", `^pg_num: 8$`)
	s.run("ceph osd out 1; ceph osd in 1; ceph osd reweight 1 1")
	s.fails(2, "ceph osd pool get missing pg_num", `Error ENOENT: unrecognized pool 'missing'`)
	s.fails(22, "ceph no such command", `Error EINVAL: invalid command`)
	s.want("ceph osd pool ls detail", `^pool 1 'seen'`)
	s.run("ceph osd set noout; ceph -s | grep -q noout; ceph osd unset noout")
	s.want("ceph versions", `"osd"`)
	s.run("ceph osd pool rm seen seen --yes-i-really-really-mean-it")
}
