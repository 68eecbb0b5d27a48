package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealTools lets each format's own tool write it, and blkid, if it is
// there, say label and UUID. Tools that are not installed are passed over:
// TestGolden covers the same formats by hand-made headers.
func TestRealTools(t *testing.T) {
	blkid, _ := exec.LookPath("blkid")
	for _, c := range []struct {
		name, kind, label string
		mib               int64
		command           string // a shell line; $I is the image
	}{
		{"ext2", "ext2", "two", 16, "mkfs.ext2 -q -F -L two $I"},
		{"ext3", "ext3", "three", 32, "mkfs.ext3 -q -F -L three $I"},
		{"ext4", "ext4", "backup", 32, "mkfs.ext4 -q -F -L backup $I"},
		{"xfs", "xfs", "big", 320, "mkfs.xfs -q -L big $I"},
		{"btrfs", "btrfs", "tree", 128, "mkfs.btrfs -q -L tree $I"},
		{"fat12", "fat12", "FLOPPY", 2, "mkfs.vfat -F 12 -n FLOPPY $I"},
		{"fat16", "fat16", "SIXTEEN", 32, "mkfs.vfat -F 16 -n SIXTEEN $I"},
		{"fat32", "fat32", "EFI", 64, "mkfs.vfat -F 32 -n EFI $I"},
		{"exfat", "exfat", "", 64, "mkfs.exfat $I"},
		{"ntfs", "ntfs", "", 32, "mkfs.ntfs -q -F -f $I"},
		{"f2fs", "f2fs", "", 128, "mkfs.f2fs -q $I"},
		{"jfs", "jfs", "", 32, "mkfs.jfs -q $I"},
		{"nilfs2", "nilfs2", "nil", 160, "mkfs.nilfs2 -q -L nil $I"},
		{"squashfs", "squashfs", "", 1, "rm $I && mkdir $I.d && mksquashfs $I.d $I -quiet -no-progress"},
		{"iso9660", "iso9660", "DISC", 1, "mkdir $I.d && genisoimage -quiet -V DISC -o $I $I.d"},
		{"swap", "swap", "swp", 16, "mkswap -L swp $I"},
		{"luks1", "luks", "", 32, "printf secret | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $I -"},
		{"luks2", "luks", "vault", 32, "printf secret | cryptsetup -q luksFormat --type luks2 --label vault --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $I -"},
		{"gpt", "gpt", "", 64, "sgdisk -n 1:2048:+16M -c 1:boot -n 2:0:0 -t 2:8200 $I"},
		{"parted gpt", "gpt", "", 64, "parted -s $I mklabel gpt mkpart a 1MiB 20MiB mkpart b 20MiB 100%"},
		{"parted dos", "dos", "", 64, "parted -s $I mklabel msdos mkpart primary ext2 1MiB 20MiB mkpart extended 20MiB 100% mkpart logical 21MiB 30MiB mkpart logical 31MiB 40MiB"},
		{"empty dos", "dos", "", 64, "parted -s $I mklabel msdos"},
	} {
		t.Run(c.name, func(t *testing.T) {
			words := strings.FieldsFunc(c.command, func(r rune) bool { return strings.ContainsRune(" &|", r) })
			for i, w := range words {
				if known := map[string]bool{"sgdisk": true, "parted": true, "cryptsetup": true, "genisoimage": true, "mksquashfs": true, "mkswap": true}; known[w] || i == 0 && strings.HasPrefix(w, "mkfs.") {
					if _, err := exec.LookPath(w); err != nil {
						t.Skipf("%s is not installed", w)
					}
				}
			}
			img := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, c.mib<<20); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", "set -e; "+c.command)
			cmd.Env = append(os.Environ(), "I="+img)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", c.command, err, out)
			}
			d, err := Look(img)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Findings) != 1 || d.Findings[0].Kind != c.kind || d.Findings[0].Label != c.label || d.Findings[0].Note != "" || d.Residue != nil || d.Err != nil || d.InUse {
				t.Fatalf("%s: %+v", c.command, d)
			}
			f := d.Findings[0]
			if blkid != "" && c.kind != "gpt" && c.kind != "dos" && c.kind != "squashfs" {
				want, err := exec.Command(blkid, "-p", "-o", "value", "-s", "UUID", img).Output()
				if err != nil {
					t.Fatalf("blkid: %v", err)
				}
				if w := strings.TrimSpace(string(want)); f.UUID != "" && !strings.EqualFold(f.UUID, w) || f.UUID == "" && w != "" && c.kind != "iso9660" {
					t.Errorf("UUID %q, blkid says %q", f.UUID, w)
				}
			}
			switch c.name {
			case "gpt":
				if s := f.String(); s != `a GPT partition table with 2 partitions (disk1 unknown, disk2 unknown)` || f.Partitions[0].Label != "boot" || f.Partitions[0].Start != 1<<20 || f.Partitions[0].Bytes != 16<<20 {
					t.Errorf("%s %+v", s, f.Partitions)
				}
			case "parted dos":
				if s := f.String(); s != `an MBR partition table with 4 partitions (disk1 unknown, disk2 extended, disk5 unknown, disk6 unknown)` {
					t.Error(s)
				}
			}
			wipeAll(t, img, d)
		})
	}
}

// wipeAll wipes the image and expects us, and blkid, to find nothing there.
func wipeAll(t *testing.T, img string, d *Disk) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gone, err := Wipe(f, d.Bytes, d.Sector, d.Name)
	if err != nil || len(gone) == 0 || gone[0].What != d.Findings[0].String() {
		t.Fatalf("wipe: %+v, %v", gone, err)
	}
	after, err := Look(img)
	if err != nil || after.Findings != nil || after.Store != nil {
		t.Fatalf("after wipe: %+v, %v", after, err)
	}
	if blkid, err := exec.LookPath("blkid"); err == nil {
		if out, err := exec.Command(blkid, "-p", img).CombinedOutput(); err == nil {
			t.Errorf("blkid still sees: %s", out)
		}
	}
}
