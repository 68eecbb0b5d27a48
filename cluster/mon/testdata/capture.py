"""Asks a real cluster what commands.txt lists, and writes what it answers.

usage: capture.py CEPH.CONF OUT.json, then go test ./cluster/mon -run TestRaw -raw OUT.json
The cluster is fresh: a monitor, a manager and three OSDs of one host, pools of size 1.
"""
import json, os, socket, sys, time
import rados

HERE = os.path.dirname(os.path.abspath(__file__))
INPUTS = {
    "keyring": b'[client.i]\n\tkey = AQCxAAAAAAAAABAAexd1Wwj9E6J1EJvR2LkXkw==\n\tcaps mon = "allow r"\n',
    "conf": b"[osd]\nosd_memory_target = 2G\n[global]\nfsid = x\n",
}
MANAGER = 8  # flag of commands that the manager answers


class Cluster:
    def __init__(self, conf):
        self.c = rados.Rados(conffile=conf, name="client.admin")
        self.c.connect()
        self.flags, self.gave_up = {}, 0
        for d in json.loads(self.mon({"prefix": "get_command_descriptions"})[1]).values():
            words = []
            for w in d["sig"]:
                if not isinstance(w, str):
                    break
                words.append(w)
            self.flags.setdefault(" ".join(words), d.get("flags", 0))

    def mon(self, request, data=b""):
        return self.c.mon_command(json.dumps(request), data, timeout=20)

    def run(self, request, data):
        if request["prefix"].startswith("tell mon.a "):
            request["prefix"] = request["prefix"][len("tell mon.a "):]
            return self.c.mon_command(json.dumps(request), data, timeout=20, target="a")
        if self.flags.get(request["prefix"], 0) & MANAGER:
            return self.c.mgr_command(json.dumps(request), data, timeout=20)
        return self.mon(request, data)

    def settle(self):
        """Waits until all PGs are active and clean, if that ever happens."""
        for _ in range(20 if self.gave_up < 3 else 0):
            p = json.loads(self.mon({"prefix": "status", "format": "json"})[1])["pgmap"]
            if [s["state_name"] for s in p["pgs_by_state"]] == ["active+clean"]:
                return
            time.sleep(0.5)
        self.gave_up += 1

    def pool(self):
        return self.c.pool_lookup("p") or 0


def main(conf, out):
    c, answers, crush = Cluster(conf), [], b""
    for line in open(os.path.join(HERE, "commands.txt")):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        command, _, name = line.partition(" <")
        prefix, _, args = command.partition(" {")
        pool = c.pool()
        args = ("{" + args) if args else "{}"
        args = args.replace('"PG"', '"%d.0"' % pool).replace("POOL", str(pool)).replace("HOST", socket.gethostname().split(".")[0])
        request = dict(json.loads(args), prefix=prefix, format="json")
        if prefix.startswith(("pg ", "df", "status", "osd ok", "osd safe", "osd df", "osd pool force", "osd destroy", "osd purge")):
            c.settle()
        r, data, text = c.run(request, crush if name == "crush" else INPUTS.get(name, b""))
        if prefix == "osd getcrushmap":
            crush = data
        try:
            answers.append({"R": r, "Out": data.decode(), "Utf8": True})
        except UnicodeDecodeError:
            answers.append({"R": r, "Out": "", "Utf8": False})
        print(r, line, "|", text[:100].replace("\n", " "), flush=True)
    json.dump(answers, open(out, "w"))


main(*sys.argv[1:])
